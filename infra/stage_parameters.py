"""Works out the parameters that each stage is deployed with.

    python3 infra/stage_parameters.py dev     # for `sam deploy --parameter-overrides`
    python3 infra/stage_parameters.py         # a table of every stage; fails on a value that CloudFormation refuses

`--parameter-overrides` replaces the parameters of samconfig.toml instead of adding to them, and what neither names
takes the template's default. So whoever passes one parameter has to pass all of them: those of the file, and those that
only the environment knows.
"""

import os
import pathlib
import re
import sys
import tomllib

INFRA = pathlib.Path(__file__).resolve().parent

# Parameters whose values differ per AWS account: the environment's variable that has each. Unset means the default.
FROM_ENVIRONMENT = {
    "AlarmTopicArn": "ALARM_TOPIC_ARN",
    "DeletionProtection": "DELETION_PROTECTION",
    "PermissionsBoundaryArn": "FUNCTION_BOUNDARY_ARN",
}


def stages(path=INFRA / "samconfig.toml"):
    """Returns the parameters in the file, by stage."""
    config = tomllib.loads(path.read_text())
    deployed = {name: one["deploy"]["parameters"] for name, one in config.items() if "deploy" in (one if isinstance(one, dict) else {})}
    return {name: dict(pair.split("=", 1) for pair in one["parameter_overrides"].split()) for name, one in deployed.items()}


def overrides(stage, environment=os.environ):
    """Returns all parameters that a deployment of `stage` passes."""
    known = {name: environment[variable] for name, variable in FROM_ENVIRONMENT.items() if environment.get(variable)}
    return stages()[stage] | known


def complaint(declared, name, value):
    """Returns why CloudFormation would refuse a value; `None` if it accepts it."""
    if declared is None:
        return f"{name}: the template has no such parameter"
    allowed = declared.get("AllowedValues")
    if allowed and value not in map(str, allowed):
        return f"{name}={value}: allowed are {', '.join(map(str, allowed))}"
    if declared["Type"] == "Number":
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return f"{name}={value}: not a number"
        if not declared.get("MinValue", -float("inf")) <= float(value) <= declared.get("MaxValue", float("inf")):
            return f"{name}={value}: not between MinValue and MaxValue"
    if not re.fullmatch(declared.get("AllowedPattern", "(?s).*"), value):
        return f"{name}={value}: does not match {declared['AllowedPattern']}"
    return None


def complaints(parameters, chosen):
    """What is wrong with the parameters `chosen` for a template that declares `parameters`."""
    yield from filter(None, (complaint(parameters.get(name), name, value) for name, value in chosen.items()))
    for name, declared in parameters.items():
        if "Default" not in declared and name not in chosen:
            yield f"{name}: has no default and no value"


def table():
    from lint_template import read

    parameters = read(INFRA.parent / "template.yaml")["Parameters"]
    wrong = []
    for stage in stages():
        chosen = overrides(stage)
        print(f"\n{stage}")
        for name, declared in sorted(parameters.items()):
            origin = "environment" if name in chosen and name not in stages()[stage] else "samconfig.toml"
            value = chosen.get(name, declared.get("Default", ""))
            print(f"  {name:<24} {value!s:<22} {origin if name in chosen else 'default'}")
        wrong += [f"{stage}: {one}" for one in complaints(parameters, chosen)]
    print("\n" + ("\n".join(wrong) or "CloudFormation takes the parameters of every stage"))
    return bool(wrong)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(*(f"{name}={value}" for name, value in overrides(sys.argv[1]).items()))
    else:
        sys.exit(table())
