"""Compares what the functions' policies grant with what the tests' stacks saw them use.

    cargo test -p functions --test api        # leaves target/tmp/permissions.json
    python3 infra/check_permissions.py target/tmp/permissions.json

Whatever was used had been granted, or the local stack would have refused it, and a test would have
failed. So what is left to find is what was granted and never used. Tests of a template of their own are
not counted, nor is a resource without a name: the sender of mail where a stack sends none.
"""

import json
import pathlib
import sys

report = json.loads(pathlib.Path(sys.argv[1]).read_text())
granted, used, refused = (
    {(one["function"], one["action"], one["resource"]) for one in report[name] if not one["resource"].endswith("/")}
    for name in ("granted", "used", "refused")
)
complaints = (
    ("used, but not granted", (used | refused) - granted),
    ("granted, but never used", granted - used),
    ("granted, but not for what was asked", granted & refused),
)
for complaint, permissions in complaints:
    for permission in sorted(permissions):
        print(f"{complaint}: {' '.join(permission)}")
print(f"{len(granted)} permissions granted, {len(used)} used, {len(refused)} refused")
sys.exit(any(permissions for _, permissions in complaints))
