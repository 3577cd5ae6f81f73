"""Applies each bug of tests/seeded, one at a time, and runs the test that must fail on it.

    python3 infra/check_seeded.py              # all of them, some minutes each
    python3 infra/check_seeded.py NAME…        # these only
    python3 infra/check_seeded.py --lib        # those that a unit test catches; so with --proof and --api
    python3 infra/check_seeded.py --apply      # only whether patches apply and CONTRIBUTING.md has their tests: seconds

A patch begins with two lines: the rule that it breaks, and the quickest test that must catch it, as `cargo test` is told:

    Breaks: an operator's deletion takes a unit of the hour's limit
    Caught by: --test api brake::operators_delete_as_many

The bugs are built into a copy of the tracked files as they are, in target/seeded, those of one suite after the other.
The tests run there without any of them first: one that fails anyway catches nothing. The table "Changed this, run that"
of CONTRIBUTING.md must have a bug's test for each file that the bug changes. Exits with 1 if a bug is not caught, its
test is not in the table, or its patch does not apply any more.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRATCH = ROOT / "target" / "seeded"
TREE = SCRATCH / "tree"
# Maximum time of a test, in seconds.
LIMIT = 600
# What is built for each bug and runs once: compiling takes longer than running.
QUICK = ("--config", "profile.dev.debug=false", "--config", "profile.dev.package.shared.opt-level=0")
SUITES = {"--lib": ("--lib",), "--proof": ("--test", "proof"), "--api": ("--test", "api")}


def git(*arguments, where=ROOT):
    return subprocess.run(["git", "-C", str(where), *arguments], capture_output=True, text=True, check=False)


def cargo(*arguments, limit=None):
    command = ["cargo", "test", "--quiet", "--target-dir", str(SCRATCH / "build"), *QUICK, *arguments]
    # Incremental, as a bug changes little of a crate.
    quick = {**os.environ, "CARGO_INCREMENTAL": "1"}
    return subprocess.run(command, cwd=TREE, env=quick, capture_output=True, text=True, timeout=limit, check=False)


class Bug:
    def __init__(self, file):
        self.file, self.name = file, file.stem
        text = file.read_text()
        breaks, caught_by = text.splitlines()[:2]
        self.rule = breaks.removeprefix("Breaks: ")
        *suite, self.test = shlex.split(caught_by.removeprefix("Caught by: "))
        self.suite = tuple(suite)
        self.changes = re.findall(r"^\+\+\+ b/(\S+)", text, re.M)

    def applies(self):
        return git("apply", "--check", str(self.file), where=TREE).returncode == 0

    def is_looked_for(self, table):
        """Returns whether the table has the bug's test for each file that the bug changes."""
        return all(
            any(
                suite == self.suite and (not words or any(word in self.test for word in words))
                for paths, commands in table
                if any(file.startswith(path) for path in paths)
                for suite, words in commands
            )
            for file in self.changes
        )

    def outcome(self):
        """Builds the bug in and runs its test; returns the tests that caught it or what went wrong, and the seconds
        that the run took, `None` if the bug was not caught."""
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


def changed_and_run():
    """Yields the rows of the table of CONTRIBUTING.md: paths, and each test command's suite and name filters."""
    text = (ROOT / ".github/CONTRIBUTING.md").read_text()
    for row in text.split("## Changed this, run that")[1].split("\n## ")[0].splitlines():
        changed, _, run = row.removeprefix("| ").partition(" | ")
        commands = [shlex.split(command) for command in re.findall(r"`cargo test -p \S+ ([^`]+)`", run)]
        suites = [command[: 1 if command[0] == "--lib" else 2] for command in commands]
        words = [[word for word in command[len(suite) :] if word != "--"] for command, suite in zip(commands, suites)]
        paths = [path for path in re.findall(r"`([^`]+)`", changed) if (ROOT / path).exists() and path != "shared"]
        yield paths, [(tuple(suite), of_suite) for suite, of_suite in zip(suites, words)]


def check_out():
    git("worktree", "remove", "--force", str(TREE))
    state = git("stash", "create").stdout.strip() or "HEAD"
    added = git("worktree", "add", "--quiet", "--detach", str(TREE), state)
    if added.returncode:
        sys.exit(added.stderr)


def fails_anyway(bugs):
    """Yields the output of suites in which one of the bugs' tests fails without any bug."""
    for suite in sorted({bug.suite for bug in bugs}):
        tests = [bug.test for bug in bugs if bug.suite == suite]
        run = cargo(*suite, "--", *tests)
        if run.returncode:
            yield run.stdout[-2000:] + run.stderr[-2000:]


def complaints(bugs):
    table = list(changed_and_run())
    for bug in bugs:
        if not bug.applies():
            yield f"{bug.name} does not apply any more"
        if not bug.is_looked_for(table):
            yield f"{bug.name}: CONTRIBUTING.md does not say to run {shlex.join([*bug.suite, bug.test])}"


options = {argument for argument in sys.argv[1:] if argument.startswith("--")}
names = set(sys.argv[1:]) - options
suites = [SUITES[option] for option in options - {"--apply"}]
bugs = [Bug(file) for file in (ROOT / "tests" / "seeded").glob("*.patch")]
if unknown := names - {bug.name for bug in bugs}:
    sys.exit(f"no such bug: {', '.join(sorted(unknown))}")
bugs = [bug for bug in bugs if (not names or bug.name in names) and (not suites or bug.suite in suites)]
bugs.sort(key=lambda bug: (bug.suite, bug.changes, bug.name))
check_out()
try:
    wrong = list(complaints(bugs))
    print("\n".join(wrong) or f"all {len(bugs)} apply, and CONTRIBUTING.md has their tests")
    if wrong or "--apply" in options:
        sys.exit(bool(wrong))
    if broken := list(fails_anyway(bugs)):
        sys.exit("these fail without a bug:\n" + "\n".join(broken))
    print("\n| bug | caught by | seconds |\n|---|---|--:|", flush=True)
    caught = 0
    for bug in bugs:
        outcome, seconds = bug.outcome()
        caught += seconds is not None
        print(f"| {bug.name} | {outcome} | {'' if seconds is None else f'{seconds:.0f}'} |", flush=True)
    print(f"\n{caught} of {len(bugs)} caught")
    sys.exit(caught != len(bugs))
finally:
    git("worktree", "remove", "--force", str(TREE))
