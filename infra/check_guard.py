"""Checks the expanded template against our own rules, and the rules against their tests.

    cargo install cfn-guard --version 3.2.1 --locked
    python3 infra/lint_template.py target/expanded
    python3 infra/check_guard.py target/expanded/template.json    # cfn-guard on the PATH

A rule that never fails may check nothing, so each must have a test in which it passes and one in which it fails.
"""

import pathlib
import re
import subprocess
import sys

RULES = pathlib.Path(__file__).resolve().parent / "guard"


def unproven():
    """Rules without a test in which they pass, or one in which they fail."""
    for file in sorted(RULES.glob("*.guard")):
        tests = (RULES / "tests" / f"{file.stem}_tests.yaml").read_text()
        for rule in re.findall(r"^rule (\w+)", file.read_text(), re.M):
            for outcome in ("PASS", "FAIL"):
                if not re.search(rf"^ +{rule}: {outcome}$", tests, re.M):
                    yield f"{file.name}: no test in which {rule} is {outcome}"


def guard(*arguments):
    run = subprocess.run(["cfn-guard", *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        print(run.stdout, run.stderr)
    return run


complaints = list(unproven())
print("\n".join(complaints) or "every rule has been seen to pass and to fail")
failed = bool(complaints)
for file in sorted(RULES.glob("*.guard")):
    tests = RULES / "tests" / f"{file.stem}_tests.yaml"
    tested = guard("test", "-r", str(file), "-t", str(tests))
    failed |= bool(tested.returncode)
validated = guard("validate", "-r", str(RULES), "-d", sys.argv[1], "--show-summary", "all")
# cfn-guard skips a rule that applies to no resource. Here every rule applies to some, so skipping is an error.
kept, skipped = (re.findall(rf"^\S+/(\w+) +{status}$", validated.stdout, re.M) for status in ("PASS", "SKIP"))
print(f"the template keeps to {len(kept)} rules", *(f"and {rule} was not checked" for rule in skipped))
failed |= bool(validated.returncode or skipped or not kept)
sys.exit(failed)
