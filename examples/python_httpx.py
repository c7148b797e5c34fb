"""Dialect `agent` with httpx (Debian: python3-httpx), asynchronous. Also needs the id of the token's user:
RIVULET_URL=http://localhost:3000 RIVULET_TOKEN=rvl_… RIVULET_USER=… python3 python_httpx.py "What is a rivulet?"
"""

import asyncio
import json
import os
import sys
import uuid
from typing import AsyncIterator

import httpx

from sse_events import Event, SseParser

url = os.environ.get("RIVULET_URL", "http://localhost:3000")
path = f"/api/{os.environ['RIVULET_USER']}/chat/stream"


# region ask
async def ask(question: str) -> AsyncIterator[Event]:
    """The events of one answer, across reconnects; the caller recognizes the last one."""
    headers = {
        "Authorization": f"Bearer {os.environ['RIVULET_TOKEN']}",
        # The same request with the same key is the same turn.
        "Idempotency-Key": str(uuid.uuid4()),
    }
    failures = 0
    # Three of the server's heartbeats: a connection silent for this long is dead.
    async with httpx.AsyncClient(base_url=url, timeout=45) as client:
        while failures < 10:
            failures += 1
            try:
                async with client.stream("POST", path, json={"message": question}, headers=headers) as response:
                    if response.status_code == 204:
                        return
                    if response.status_code == 200:
                        parser = SseParser()
                        async for received in response.aiter_bytes():
                            for event in parser.feed(received):
                                headers["Last-Event-ID"] = event.id
                                failures = 0
                                yield event
                    elif response.status_code not in (429, 502, 503, 504):
                        sys.exit(json.loads(await response.aread())["detail"])
            except httpx.TransportError:
                pass  # The connection was lost.
            await asyncio.sleep(1)
    sys.exit("The server cannot be reached. The answer is kept there.")
# endregion


async def main(question: str) -> None:
    async for event in ask(question):
        if event.data == "[DONE]":
            break
        said = json.loads(event.data)
        if said["type"] == "text":
            print(said["content"], end="", flush=True)
        elif said["type"] == "tool_call":
            print(f"[{said['name']} {json.dumps(said['arguments'], ensure_ascii=False)}]", file=sys.stderr)
        elif said["type"] == "error":
            sys.exit(said["message"])
    print()


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "What is a rivulet?"))
