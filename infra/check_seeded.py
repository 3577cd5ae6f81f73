"""Applies each bug of tests/seeded, one at a time, and runs the test that must fail on it.

    python3 infra/check_seeded.py              # all of them, some minutes each
    python3 infra/check_seeded.py NAME…        # these only
    python3 infra/check_seeded.py --apply      # only whether each patch still applies: seconds

A patch begins with two lines: the rule that it breaks, and the quickest test that must catch it, as `cargo test` is told:

    Breaks: an operator's deletion takes a unit of the hour's limit
    Caught by: --test api brake::operators_delete_as_many

The bugs are built into a copy of the tracked files as they are, in target/seeded. The tests run there without any of them
first: one that fails anyway catches nothing. Exits with 1 if a bug is not caught, or its patch does not apply any more.
"""

import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "seeded"
TREE = SCRATCH / "tree"
# Seconds that a test may take.
LIMIT = 600


def git(*arguments, where=ROOT):
    return subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True, check=False)


def cargo(*arguments, limit=None):
    command = ["cargo", "test", "--quiet", "--target-dir", str(SCRATCH / "build"), *arguments]
    return subprocess.run(command, cwd=TREE, capture_output=True, text=True, timeout=limit, check=False)


class Bug:
    def __init__(self, file):
        self.file, self.name = file, file.stem
        breaks, caught_by = file.read_text().splitlines()[:2]
        self.rule = breaks.removeprefix("Breaks: ")
        *self.suite, self.test = shlex.split(caught_by.removeprefix("Caught by: "))

    def applies(self):
        return git("apply", "--check", str(self.file), where=TREE).returncode == 0

    def outcome(self):
        """Returns what became of it, and the seconds that its test took; None for those if it caught nothing."""
        if not self.applies():
            return "DOES NOT APPLY ANY MORE", None
        git("apply", str(self.file), where=TREE)
        try:
            if cargo("--no-run", *self.suite).returncode:
                return "DOES NOT BUILD", None
            started = time.monotonic()
            run = cargo(*self.suite, self.test, limit=LIMIT)
            failed = re.findall(r"^---- (\S+) stdout ----$", run.stdout, re.M)
            if not failed:
                return "NOT CAUGHT", None
            return ", ".join(dict.fromkeys(failed)), time.monotonic() - started
        except subprocess.TimeoutExpired:
            return f"NO END IN {LIMIT} S", None
        finally:
            git("checkout", "--quiet", ".", where=TREE)


def check_out():
    git("worktree", "remove", "--force", str(TREE))
    state = git("stash", "create").stdout.strip() or "HEAD"
    added = git("worktree", "add", "--quiet", "--detach", str(TREE), state)
    if added.returncode:
        sys.exit(added.stderr)


def fails_anyway(bugs):
    """Tests that catch nothing, since they fail without a bug."""
    for suite in {tuple(bug.suite) for bug in bugs}:
        tests = [bug.test for bug in bugs if tuple(bug.suite) == suite]
        run = cargo(*suite, "--", *tests)
        if run.returncode:
            yield run.stdout[-2000:] + run.stderr[-2000:]


names = [argument for argument in sys.argv[1:] if argument != "--apply"]
bugs = [Bug(file) for file in sorted((ROOT / "tests" / "seeded").glob("*.patch"))]
bugs = [bug for bug in bugs if not names or bug.name in names]
check_out()
try:
    if "--apply" in sys.argv:
        stale = [bug.name for bug in bugs if not bug.applies()]
        print("\n".join(f"{name} does not apply any more" for name in stale) or f"all {len(bugs)} apply")
        sys.exit(bool(stale))
    if broken := list(fails_anyway(bugs)):
        sys.exit("these fail without a bug:\n" + "\n".join(broken))
    print("| bug | caught by | seconds |\n|---|---|--:|", flush=True)
    caught = 0
    for bug in bugs:
        outcome, seconds = bug.outcome()
        caught += seconds is not None
        print(f"| {bug.name} | {outcome} | {'' if seconds is None else f'{seconds:.0f}'} |", flush=True)
    print(f"\n{caught} of {len(bugs)} caught")
    sys.exit(caught != len(bugs))
finally:
    git("worktree", "remove", "--force", str(TREE))
