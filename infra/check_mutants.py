"""Breaks the domain, one expression at a time, with cargo-mutants, and reports what no unit test notices.

    python3 infra/check_mutants.py              # lines that differ from main or, on main, from the commit before
    python3 infra/check_mutants.py --all        # every line, for hours
    python3 infra/check_mutants.py --all FILE…  # every line of these files, such as shared/src/domain/hold.rs

What is broken, and what is not for which reason: .cargo/mutants.toml. The tests are those of tests/pure, which has the
domain without the rest. Of changed lines, as many mutants are tried as fit into five minutes: beyond that, every second or
third of them. With --all, those that were caught before are not tried again (target/mutants.out; delete it to begin anew).
Mutants are built into a copy of the code as it is, in target/mutants. Exits with 1 if one survives.

Needs cargo-mutants in PATH or below target/ci, where .ci/run installs it.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "target"
TREE = TARGET / "mutants"
OUTPUT = TARGET / "mutants.out"
# Separate, as Cargo would otherwise take its build of the original code for the build of a mutant in the copy.
BUILD = TARGET / "mutants.build"
# Maximum number of mutants of changed lines: as many as five minutes suffice for, with the build of dependencies.
AT_MOST = 40
# Timeout of the tests of one mutant, in seconds, so that an endless loop counts as caught.
LIMIT = "60"
ENVIRONMENT = os.environ | {
    "PATH": f"{os.environ['PATH']}:{TARGET / 'ci' / 'bin'}",
    # Number of cases per property: fewer than usual, as the tests run about a hundred times as often.
    "PROPTEST_CASES": "32",
    "CARGO_TARGET_DIR": str(BUILD),
    "CARGO_INCREMENTAL": "1",
}


def run(*command, where=ROOT, **options):
    return subprocess.run(command, cwd=where, env=ENVIRONMENT, text=True, check=False, **options)


def text_of(*command):
    return run(*command, capture_output=True).stdout.strip()


def mutants(*options, **how):
    return run("cargo", "mutants", "--dir", str(TREE), *options, **how)


def check_out():
    """Checks out the tracked files, with uncommitted changes, into a worktree, where git writes only changed files."""
    state = text_of("git", "stash", "create") or "HEAD"
    if not TREE.exists():
        run("git", "worktree", "prune")
        run("git", "worktree", "add", "--quiet", "--detach", str(TREE))
    commit = text_of("git", "rev-parse", state)
    if run("git", "-C", str(TREE), "checkout", "--quiet", "--force", "--detach", commit).returncode:
        sys.exit(f"{TREE} cannot be brought up to date")


def only(files):
    """Returns the options that restrict the configuration to these files; none for all files."""
    if not files:
        return []
    whole = (ROOT / ".cargo" / "mutants.toml").read_text()
    file = TARGET / "mutants.toml"
    file.write_text(re.sub(r"(?<=^examine_globs = )\[.*?\]", json.dumps(files), whole, flags=re.DOTALL | re.MULTILINE))
    return ["--config", str(file)]


def changes():
    """Returns the options that restrict a run to lines that differ from main or, on main, from the commit before."""
    head = text_of("git", "rev-parse", "HEAD")
    bases = (text_of("git", "merge-base", "HEAD", main) for main in ("origin/main", "main"))
    base = next((base for base in bases if base and base != head), "HEAD^")
    found = run("git", "diff", base, "--", "shared/src", capture_output=True)
    if found.returncode:
        sys.exit(f"what has changed since {base} is not known: {found.stderr}")
    file = TARGET / "changes.diff"
    file.parent.mkdir(exist_ok=True)
    file.write_text(found.stdout)
    return ["--in-diff", str(file)]


def sample(selection):
    """Returns the options that choose as many of the mutants as there is time for; `None` if there are no mutants."""
    listed = mutants("--list", *selection, capture_output=True)
    if listed.returncode:
        sys.exit(f"cargo-mutants failed ({listed.returncode}): {listed.stderr}")
    count = len(listed.stdout.splitlines())
    if not count:
        return None
    every = -(-count // AT_MOST)
    return ["--shard", f"0/{every}", "--sharding", "round-robin"] if every > 1 else []


def survivors():
    """Prints the score of this run; returns how many survived."""
    outcomes = json.loads((OUTPUT / "outcomes.json").read_text())
    caught, missed = outcomes["caught"] + outcomes["timeout"], outcomes["missed"]
    before = OUTPUT / "previously_caught.txt"
    earlier = len(before.read_text().splitlines()) if before.exists() else 0
    print(f"\n{caught} of {caught + missed} mutants caught; {outcomes['unviable']} do not compile; {earlier} done with before")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every line, not only those that have changed")
    parser.add_argument("files", nargs="*", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.files and not arguments.all:
        parser.error("files are for --all")
    check_out()
    selection = ["--iterate", *only(arguments.files)] if arguments.all else changes()
    chosen = [] if arguments.all else sample(selection)
    if chosen is None:
        print("no line that can be broken has changed")
        return
    if run("cargo", "test", "--quiet", "--package", "pure", "--lib", where=TREE).returncode:
        sys.exit("the tests fail without a mutant")
    how = ["--in-place", "--output", str(TARGET), "--baseline", "skip", "--timeout", LIMIT]
    tried = mutants(*how, *selection, *chosen)
    if tried.returncode not in (0, 2, 3):
        sys.exit(f"cargo-mutants failed ({tried.returncode})")
    sys.exit(bool(survivors()))


main()
