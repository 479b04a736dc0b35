"""Checks that a fuzzing run reached the operations. If most requests were rejected early, every response could conform
to the document although nothing was tested.
usage: check_responses.py RESPONSES SHARE (the minimum share of operations that succeed at least once, in percent)
"""

import collections
import json
import sys

MAX_REJECTED = 5  # percent

with open(sys.argv[1]) as file:
    responses = json.load(file)
# Requests with an unsupported method do not count as operations.
operations = {name: counts for name, counts in responses.items() if set(counts) != {"405"}}
total = collections.Counter()
for counts in responses.values():
    total.update(counts)
sent = sum(total.values())

idle = sorted(name for name, counts in operations.items() if not any(status.startswith("2") for status in counts))
print(f"{len(operations) - len(idle)} of {len(operations)} operations succeeded at least once")
print("responses:", ", ".join(f"{status}: {count}" for status, count in sorted(total.items())))

failures = []
if 100 * (len(operations) - len(idle)) < int(sys.argv[2]) * len(operations):
    failures.append(f"{len(idle)} of {len(operations)} operations never succeeded: {', '.join(idle)}")
for status, reason in (("401", "rejected as unauthenticated"), ("429", "rejected by the rate limit")):
    if 100 * total[status] > MAX_REJECTED * sent:
        failures.append(f"{total[status]} of {sent} requests were {reason}")
for failure in failures:
    print("fuzz:", failure)
sys.exit(1 if failures or not sent else 0)
