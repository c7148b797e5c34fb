"""Dialect `rag` with requests (Debian: python3-requests). RIVULET_SESSION is the chat's number, created if unused:
RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… python3 python_requests.py "What is a rivulet?"
"""

import json
import os
import sys
import time
import uuid
from typing import Iterator

import requests

from sse_events import Event, SseParser

url = f"{os.environ.get('RIVULET_URL', 'http://localhost:3000')}/chat/{os.environ.get('RIVULET_SESSION', '1')}/stream"


# region ask
def ask(question: str) -> Iterator[Event]:
    """The events of one answer, across reconnects; the caller recognizes the last one."""
    headers = {
        "Authorization": f"Bearer {os.environ['RIVULET_TOKEN']}",
        # The same request with the same key is the same turn.
        "Idempotency-Key": str(uuid.uuid4()),
    }
    failures = 0
    while failures < 10:
        failures += 1
        try:
            # Three of the server's heartbeats: a connection silent for this long is dead.
            with requests.post(url, json={"question": question}, headers=headers, stream=True, timeout=45) as response:
                if response.status_code == 204:
                    return
                if response.status_code == 200:
                    parser = SseParser()
                    # None: yields data as soon as it arrives.
                    for received in response.iter_content(chunk_size=None):
                        for event in parser.feed(received):
                            headers["Last-Event-ID"] = event.id
                            failures = 0
                            yield event
                elif response.status_code not in (429, 502, 503, 504):
                    sys.exit(response.json()["content"])
        except requests.RequestException:
            pass  # The connection was lost.
        time.sleep(1)
    sys.exit("The server cannot be reached. The answer is kept there.")
# endregion


def main(question: str) -> None:
    for event in ask(question):
        said = json.loads(event.data)
        if said["type"] == "chunk":
            print(said["content"], end="", flush=True)
        elif said["type"] == "sources":
            for number, source in enumerate(said["content"], start=1):
                print(f"[{number}] {source['metadata']['title']} ({source['score']:.2f})", file=sys.stderr)
        elif said["type"] == "error":
            sys.exit(said["content"])
        elif said["type"] == "done":
            break
    print()


main(sys.argv[1] if len(sys.argv) > 1 else "What is a rivulet?")
