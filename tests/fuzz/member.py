"""Prints the id of a user who holds the level Member in the demo company."""

import json
import os
import urllib.request


def get(path):
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Company-Id": os.environ["COMPANY"]}
    request = urllib.request.Request(f"{os.environ['BASE_URL']}/api/iam{path}", headers=headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["data"]


levels = get("/user-levels")["userLevels"]
member = next(level["id"] for level in levels if level["name"] == "Member")
print(get(f"/user-levels/{member}/users")["users"][0]["id"])
