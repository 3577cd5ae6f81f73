"""Fuzzes the parsers of untrusted input with cargo-fuzz and libFuzzer, on stable Rust.

    python3 infra/check_fuzz.py                         # a minute for each target
    python3 infra/check_fuzz.py --seconds 3600 TARGET…  # these only, an hour each
    python3 infra/check_fuzz.py --replay FILE TARGET    # one input, with the panic's message

Targets are the properties in tests/fuzz/src; each begins with the inputs in tests/fuzz/seeds/TARGET, and with what
earlier runs have found new, in target/fuzz/corpus. As many targets run at the same time as there are processors. A
target ends at the first input for which its property does not hold; the input is stored below target/fuzz/found, and is
to be added to the seeds once it is understood. Exits with 1 if there is one.

Needs a C++ compiler, and cargo-fuzz in PATH or below target/ci, where .ci/run installs it.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGETS = ROOT / "tests" / "fuzz" / "targets"
SEEDS = ROOT / "tests" / "fuzz" / "seeds"
SCRATCH = ROOT / "target" / "fuzz"
TRIPLE = re.search(r"host: (\S+)", subprocess.check_output(["rustc", "-vV"], text=True))[1]
# Maximum length of inputs by target, in bytes, if not the usual one: for a body, a little more than is accepted.
LARGEST = {"json_body": 66_000}
USUAL = 2_048


def build():
    path = f"{os.environ['PATH']}:{ROOT / 'target' / 'ci' / 'bin'}"
    # Safe Rust needs no sanitizer, and without one stable Rust does.
    command = ["cargo", "fuzz", "build", "--fuzz-dir", "tests/fuzz", "--sanitizer", "none", "--target-dir", SCRATCH / "build"]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PATH": path}, check=True)


def program(target):
    return SCRATCH / "build" / TRIPLE / "release" / f"fuzz_{target}"


def fuzz(target, seconds):
    """Fuzzes a target; returns its row of the table, and the log if an input was found that fails, else `None`."""
    corpus, found = SCRATCH / "corpus" / target, SCRATCH / "found" / target
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": LARGEST.get(target, USUAL),
        "timeout": 10,
        "rss_limit_mb": 1024,
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
    }
    command = [program(target), *(f"-{name}={value}" for name, value in options.items()), corpus, SEEDS / target]
    run = subprocess.run(command, capture_output=True, check=False)
    log = run.stderr.decode(errors="replace")
    executed = re.search(r"number_of_executed_units: (\d+)", log)
    covered = re.findall(r"cov: (\d+)", log)
    row = f"| {target} | {int(executed[1]) if executed else 0:,} | {covered[-1] if covered else 0} | "
    return row + ("a finding |" if run.returncode else "– |"), log if run.returncode else None


def main():
    known = sorted(file.stem for file in TARGETS.glob("*.rs"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(known))
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--replay", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()
    targets = arguments.targets or known
    if unknown := set(targets) - set(known):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    if arguments.replay and len(arguments.targets) != 1:
        parser.error("--replay needs one target")
    build()
    if arguments.replay:
        sys.exit(subprocess.run([program(targets[0]), arguments.replay], check=False).returncode)
    print("| target | inputs | edges covered | |\n|---|--:|--:|---|", flush=True)
    logs = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for row, log in pool.map(lambda target: fuzz(target, arguments.seconds), targets):
            print(row, flush=True)
            logs += [log] if log else []
    for log in logs:
        print(log[-3000:], file=sys.stderr)
    sys.exit(bool(logs))


main()
