"""Checks the templates: expands template.yaml as SAM does, then lints what CloudFormation would get, with
the alarms and the deployment's role.

cfn-lint does not expand SAM by itself, so without the first step it misses, for instance, a bad
schedule or a reference to a function that is not there.

    pip install --require-hashes -r infra/requirements/checks.txt
    python3 infra/lint_template.py             # lints
    python3 infra/lint_template.py expanded    # leaves what it linted there, for other linters
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from cfnlint.decode.cfn_yaml import load  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

INFRA = pathlib.Path(__file__).resolve().parent
NATIVE = ["observability.yaml", "deploy_role.yaml", "front.yaml"]


def read(path):
    return json.loads(json.dumps(load(str(path)), default=str))


def expand(template, code="s3://bucket/package.zip"):
    """Returns `template` as SAM expands it for CloudFormation, with `code` as the package of every function."""
    # The translator needs a location for packages, which exist only after a build.
    template["Globals"]["Function"]["CodeUri"] = code
    return transform(template, {}, types.SimpleNamespace(load=lambda: {}))


def complaints():
    """Yields what no linter finds: alarms not in RUNBOOK.md or on the dashboard, or whose metric nothing emits."""
    resources = read(INFRA / "observability.yaml")["Resources"]
    alarms = {name: one for name, one in resources.items() if one["Type"] == "AWS::CloudWatch::Alarm"}
    runbook = (INFRA / "RUNBOOK.md").read_text().split("\n## Alarms\n")[1].split("\n## ")[0]
    for name in sorted(alarms.keys() ^ set(re.findall(r"^### (\w+)$", runbook, re.M))):
        yield f"{name}: an alarm without a heading in RUNBOOK.md, or a heading without an alarm"
    dashboard = resources["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    shown = json.dumps(json.loads(dashboard))
    places = [INFRA.parent / "shared/src", INFRA.parent / "functions/src"]
    sources = "".join(file.read_text() for place in places for file in place.rglob("*.rs"))
    for name, alarm in alarms.items():
        if f"${{{name}.Arn}}" not in shown:
            yield f"{name}: not on the dashboard"
        metric = alarm["Properties"].get("MetricName")
        if alarm["Properties"].get("Namespace") == "Tenure" and f'("{metric}", ' not in sources:
            yield f"{name}: nothing emits {metric}"


def main(directory):
    directory.mkdir(parents=True, exist_ok=True)
    expanded = expand(read(INFRA.parent / "template.yaml"))
    file = directory / "template.json"
    file.write_text(json.dumps(expanded, indent=1))
    # The expanded template refers to the nested one by this path.
    (directory / "infra").mkdir(exist_ok=True)
    shutil.copy(INFRA / "observability.yaml", directory / "infra")
    # Both are about what SAM itself writes: W3002 about packaging, W3005 about DependsOn.
    program = pathlib.Path(sys.executable).with_name("cfn-lint")
    ignored = ["--ignore-checks", "W3002", "W3005"]
    files = [file, *(INFRA / name for name in NATIVE)]
    lint = subprocess.run([program, "--region", "us-east-1", *ignored, "--", *files], check=False)
    print(f"{len(expanded['Resources'])} resources after expansion")
    wrong = list(complaints())
    print("\n".join(wrong) or "every alarm is explained, shown and measured")
    return lint.returncode or bool(wrong)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "target/expanded")))
