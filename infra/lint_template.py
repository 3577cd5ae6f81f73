"""Checks template.yaml: expands it as SAM does, then lints what CloudFormation would get.

cfn-lint does not expand SAM by itself, so without the first step it misses, for instance, a bad
schedule or a reference to a function that is not there.

    pip install cfn-lint==1.58.0 aws-sam-translator==1.115.0
    python3 infra/lint_template.py
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import types

os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from cfnlint.decode.cfn_yaml import load  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402

root = pathlib.Path(__file__).resolve().parent.parent
template = json.loads(json.dumps(load(str(root / "template.yaml")), default=str))

# Packages exist only after a build; the translator wants to know where they are.
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource.get("Properties", {}).pop("CodeUri", None)
template["Globals"]["Function"]["CodeUri"] = "s3://bucket/package.zip"

expanded = transform(template, {}, types.SimpleNamespace(load=lambda: {}))
with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(expanded, file)
    file.flush()
    # W3002, W3005: about packaging and about DependsOn that SAM itself writes.
    program = pathlib.Path(sys.executable).with_name("cfn-lint")
    ignored = ["--ignore-checks", "W3002", "W3005"]
    lint = subprocess.run([program, "--region", "us-east-1", *ignored, "--", file.name], check=False)
print(f"{len(expanded['Resources'])} resources after expansion")
sys.exit(lint.returncode)
