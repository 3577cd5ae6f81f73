"""Resolves each list of tools (NAME.in) into the versions and hashes (NAME.txt) that CI and the pipeline install.

    pip install --require-hashes -r infra/requirements/uv.txt
    python3 infra/requirements/compile.py              # after a change of a list
    python3 infra/requirements/compile.py --upgrade    # what the lists leave open becomes the latest

For every platform, and Python 3.11 or later.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
COMMAND = "uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-strip-extras".split()

# Lists of packages of which only files are read, so that their dependencies are not needed.
WITHOUT_DEPENDENCIES = ["axe", "schemas"]


def with_plain_names(text):
    """Adds each package that is pinned with extras once more without them, as pip wants those hashes as well."""
    return re.sub(r"^(\S+?)\[.*?\](==(?:.|\n(?= ))*\n)", lambda found: found[1] + found[2] + found[0], text, flags=re.M)


def main(options):
    for listed in sorted(HERE.glob("*.in")):
        resolved = listed.with_suffix(".txt")
        alone = ["--no-deps"] if listed.stem in WITHOUT_DEPENDENCIES else []
        subprocess.run([*COMMAND, *alone, *options, "--output-file", resolved, listed], check=True)
        resolved.write_text("# Made by infra/requirements/compile.py\n" + with_plain_names(resolved.read_text()))


if __name__ == "__main__":
    main(sys.argv[1:])
