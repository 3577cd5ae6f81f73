"""Checks the packages that SAM built: every function of the template has one, and Lambda can run it.

    python3 infra/check_packages.py .aws-sam/build

Lambda refuses a `bootstrap` without the executable bit, and SAM packages the bits that it finds.
"""

import pathlib
import re
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MACHINES = {"arm64": 0xB7, "x86_64": 0x3E}


def functions(template):
    """Logical ids of the functions; no YAML library needs to be there."""
    return re.findall(r"^  (\w+):\n    Type: AWS::Serverless::Function$", template, re.M)


def complaints(directory, template):
    """What is wrong with the packages below `directory`."""
    machine = MACHINES[re.search(r"Architectures: \[(\w+)\]", template)[1]]
    for name in functions(template):
        bootstrap = directory / name / "bootstrap"
        if not bootstrap.is_file():
            yield f"{name}: no package"
            continue
        if bootstrap.stat().st_mode & 0o555 != 0o555:
            yield f"{name}: bootstrap is {bootstrap.stat().st_mode & 0o777:04o}, not executable"
        head = bootstrap.read_bytes()[:20]
        if head[:4] != b"\x7fELF" or int.from_bytes(head[18:20], "little") != machine:
            yield f"{name}: bootstrap is no program for the template's architecture"


def zipped_mode(directory):
    """The mode that SAM's own packaging gives `bootstrap`; `None` without SAM."""
    try:
        from samcli.lib.package.utils import make_zip
    except ImportError:
        return None
    import zipfile

    with tempfile.TemporaryDirectory() as target:
        packed = make_zip(str(pathlib.Path(target, "package")), str(directory))
        with zipfile.ZipFile(packed) as archive:
            return archive.getinfo("bootstrap").external_attr >> 16 & 0o777


def main(directory):
    template = (ROOT / "template.yaml").read_text()
    names = functions(template)
    wrong = list(complaints(directory, template))
    if not wrong:
        mode = zipped_mode(directory / names[0])
        if mode is not None and mode & 0o555 != 0o555:
            wrong.append(f"SAM packages bootstrap as {mode:04o}")
        print(f"{len(names)} packages, bootstrap {mode or 0o755:04o} as packaged")
    print("\n".join(wrong) or "every package can be run")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
