# A client of dialect `content` as it is found in the wild: requests, line by line.
import json
import os

import requests

response = requests.post(
    os.environ["RIVULET_URL"] + "/api/v1/chat/",
    json={"conversation_id": os.environ["CHAT"], "message": os.environ["QUESTION"], "stream": True},
    headers={
        "Authorization": "Bearer " + os.environ["RIVULET_TOKEN"],
        "Content-Type": "application/json",
        "Accept": "text/event-stream",
    },
    stream=True,
)
for line in response.iter_lines():
    if not line:
        continue
    line = line.decode("utf-8")
    if not line.startswith("data: "):
        continue
    said = json.loads(line[6:])
    if said["type"] == "content":
        print(said["content"], end="", flush=True)
    elif said["type"] == "metadata":
        print("\nEND", said["message_id"], said["usage"]["total_tokens"])
