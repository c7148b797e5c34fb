# A client of dialect `content` as it is found in the wild: httpx with its own patience, which is five seconds without a byte.
import asyncio
import json
import os

import httpx


async def ask(message):
    request = {
        "url": os.environ["RIVULET_URL"] + "/api/v1/chat/",
        "headers": {
            "Authorization": "Bearer " + os.environ["RIVULET_TOKEN"],
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
        },
        "json": {"conversation_id": os.environ["CHAT"], "message": message, "stream": True},
    }
    async with httpx.AsyncClient() as client:
        async with client.stream("POST", **request) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                said = json.loads(line[6:])
                if said["type"] == "content":
                    print(said["content"], end="", flush=True)
                elif said["type"] == "metadata":
                    print("\nEND", said["message_id"], said["usage"]["total_tokens"])
                elif said["type"] == "error":
                    print("\nERROR", said["error"])


asyncio.run(ask(os.environ["QUESTION"]))
