"""Asks a question and prints the stream as it comes: stream_answer.py httpx|requests, with URL, TOKEN and BODY set."""

import os
import sys

url = os.environ["URL"]
body = os.environ["BODY"].encode()
headers = {
    "Authorization": f"Bearer {os.environ['TOKEN']}",
    "Content-Type": "application/json",
    "Accept": "text/event-stream",
}


def with_httpx():
    import httpx

    try:
        # With its default timeouts.
        with httpx.stream("POST", url, content=body, headers=headers) as response:
            response.raise_for_status()
            yield from response.iter_text()
    except httpx.HTTPStatusError as error:
        sys.exit(f"HTTPStatusError {error.response.status_code}")
    except httpx.TransportError as error:
        sys.exit(f"{type(error).__name__}")


def with_requests():
    import requests

    try:
        with requests.post(url, data=body, headers=headers, stream=True) as response:
            response.raise_for_status()
            response.encoding = "utf-8"
            yield from response.iter_content(chunk_size=None, decode_unicode=True)
    except requests.HTTPError as error:
        sys.exit(f"HTTPError {error.response.status_code}")
    except requests.RequestException as error:
        sys.exit(f"{type(error).__name__}")


for piece in {"httpx": with_httpx, "requests": with_requests}[sys.argv[1]]():
    print(piece, end="", flush=True)
