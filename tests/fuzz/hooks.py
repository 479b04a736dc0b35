"""Hooks for Schemathesis. Random ids and companies do not exist, so almost every purely random request ends with 400 or
404. In three of four requests the hooks therefore replace well-formed ids, companies, versions and entity tags with ones
that exist. They also count the responses, so that a run in which requests never succeed does not pass.
"""

import atexit
import collections
import json
import os
import uuid
import zlib

import requests
import schemathesis

COMPANY = os.environ["COMPANY"]
SESSION = requests.Session()
SESSION.headers.update({"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Company-Id": COMPANY})

# The demo users. Their tokens are not revoked, since all requests after the revocation would end with 401.
USERS = [f"c0ffee00-0000-4000-8000-{number:012x}" for number in (0xA, 0xB, 0xC, 0x1)]
NEW_USER = "c0ffee00-0000-4000-8000-0000000000ff"

# Maps the members of request bodies to the collections whose ids they contain.
COLLECTIONS = {
    "viewId": "views", "viewIds": "views", "view": "views",
    "featureId": "features", "featureIds": "features", "feature": "features",
    "moduleId": "modules", "moduleIds": "modules",
    "menuItemId": "menu-items",
    "userLevelIds": "user-levels",
}  # fmt: skip

known = {}
latest = {}
responses = collections.defaultdict(collections.Counter)


def ids(collection):
    """Returns the known ids of a collection. The first call reads them; later creations and deletions update them."""
    if collection not in known:
        answer = SESSION.get(f"{os.environ['BASE_URL']}/api/iam/{collection}", timeout=10).json()
        lists = [value for value in answer.get("data", {}).values() if isinstance(value, list)]
        known[collection] = [item["id"] for item in lists[0]] if lists else []
    return known[collection]


def is_uuid(value):
    try:
        return isinstance(value, str) and bool(uuid.UUID(value))
    except ValueError:
        return False


def existing(collection, value, choice):
    """Returns an existing id of the collection to replace the value, or the value itself if the collection is empty."""
    candidates = ids(collection)
    return candidates[(choice + zlib.crc32(value.encode(errors="replace"))) % len(candidates)] if candidates else value


def with_existing(value, choice, name=None):
    """Returns the body with its ids replaced by existing ids."""
    if isinstance(value, dict):
        return {key: with_existing(item, choice, key) for key, item in value.items()}
    if isinstance(value, list):
        items = [with_existing(item, choice, name) for item in value]
        # Most lists of ids must not contain an id twice.
        return list(dict.fromkeys(items)) if name in COLLECTIONS and all(isinstance(i, str) for i in items) else items
    if name == "companyId" and is_uuid(value):
        return COMPANY
    if name in ("userId", "adminUserId") and isinstance(value, str):
        return USERS[choice % len(USERS)]
    if name in COLLECTIONS and (is_uuid(value) or (name in ("view", "feature") and isinstance(value, str) and value)):
        return existing(COLLECTIONS[name], value, choice)
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    # The choice depends only on the generated request, so that a failure can be reproduced.
    body = case.body if isinstance(case.body, (dict, list, str)) else None
    generated = (case.method, case.path, case.path_parameters, case.query, body, sorted(case.headers.items()))
    choice = zlib.crc32(repr(generated).encode(errors="replace"))
    path = case.path_parameters or {}
    if choice % 4:
        choice //= 4
        collection = case.path.removeprefix("/api/iam/").split("/")[0]
        if "companyId" in path:
            path["companyId"] = COMPANY
        elif case.path.startswith("/api/iam/"):
            case.headers["X-Company-Id"] = COMPANY
            case.query.pop("companyId", None)
        if "id" in path and is_uuid(path["id"]):
            path["id"] = existing(collection, path["id"], choice)
        if "moduleId" in path and is_uuid(path["moduleId"]):
            path["moduleId"] = existing("modules", path["moduleId"], choice)
        if "userId" in path:
            path["userId"] = USERS[choice % len(USERS)]
        if isinstance(case.body, (dict, list)):
            case.body = with_existing(case.body, choice)
        for header in ("X-IAM-Min-Version", "If-Match", "If-None-Match"):
            if header in case.headers:
                if header in latest and choice % 2:
                    case.headers[header] = latest[header]
                else:
                    del case.headers[header]
    if case.path.endswith("/not-before") and case.method == "PUT":
        sent = str(path.get("userId", "")).lower()
        if sent.startswith("c0ffee00"):
            path["userId"] = NEW_USER


@schemathesis.hook
def after_call(context, case, response):
    responses[f"{case.method} {case.path}"][response.status_code] += 1
    collection = case.path.removeprefix("/api/iam/").split("/")[0]
    if "x-iam-version" in response.headers:
        latest["X-IAM-Min-Version"] = response.headers["x-iam-version"][0]
    if "etag" in response.headers:
        latest["If-Match"] = latest["If-None-Match"] = response.headers["etag"][0]
    if response.status_code == 201 and collection in known:
        entities = [value for value in response.json()["data"].values() if isinstance(value, dict)]
        known[collection].extend(entity["id"] for entity in entities if "id" in entity)
    if response.status_code == 200 and case.method == "DELETE" and collection in known:
        removed = (case.path_parameters or {}).get("id")
        known[collection] = [item for item in known[collection] if item != removed]


@atexit.register
def write_responses():
    with open(os.environ["RESPONSES"], "w") as file:
        json.dump(responses, file)
