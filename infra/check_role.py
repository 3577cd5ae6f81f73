"""Compares the role that carries out deployments with what CloudFormation's own resource schemas ask for.

    python3 infra/lint_template.py target/expanded
    pip download --no-deps --require-hashes --dest target/schemas -r infra/requirements/schemas.txt
    python3 infra/check_role.py target/expanded target/schemas     # cfn-lint installed

CloudFormation acts on a resource by the handlers of its type, and a type's schema names the permissions that each
handler needs; copies of these schemas lie in that wheel. Both ways: the role has every permission that is needed,
and none that nothing asks for. And it cannot switch off what protects the data, unless an administrator lets it.
"""

import fnmatch
import json
import pathlib
import sys
import zipfile

from lint_template import INFRA, read

# Patterns of actions that handlers ask for and this stack never needs, with the reason.
NOT_NEEDED = {
    "dynamodb:*ContributorInsights": "the template does not use contributor insights",
    "dynamodb:*Import*": "no table is imported",
    "dynamodb:*Kinesis*": "no table streams to Kinesis",
    "kinesis:*": "no table streams to Kinesis",
    "ec2:*": "no function is in a VPC",
    "elasticfilesystem:*": "no function mounts a file system",
    "firehose:*": "no log goes to Firehose",
    "iam:CreateServiceLinkedRole": "only for replicas and scaling, which on-demand tables have not",
    "iam:DeleteRolePermissionsBoundary": "a role without its boundary is what the boundary forbids",
    "iam:UpdateRole*": "no role has a description or a session length",
    "kms:CreateGrant": "variables and tables have no key of the deployment's; TableKeyArn's policy grants DynamoDB",
    "kms:RevokeGrant": "as CreateGrant",
    "kms:Encrypt": "as CreateGrant",
    "kms:Decrypt": "as CreateGrant",
    "kms:GenerateDataKey": "as CreateGrant",
    "kms:Describe[*]": "as CreateGrant, for a table's key",
    "kms:Get[*]": "as CreateGrant, for a table's key",
    "kms:*KeyRotation": "asymmetric keys have no rotation; GetKeyRotationStatus is read all the same",
    "kms:DisableKey": "the template enables the key and leaves it so",
    "kms:EnableKey": "as DisableKey",
    "kms:List*": "handlers that list are for drift detection and the resource import, not for deployments",
    "*:List*s": "as kms:List*",
    "lambda:*CodeSigning*": "packages are not signed",
    "lambda:*RecursionConfig": "the default is kept",
    "lambda:*ScalingConfig": "no capacity provider",
    "lambda:PassCapacityProvider": "no capacity provider",
    "lambda:*RuntimeManagementConfig": "the default is kept",
    "lambda:GetLayerVersion": "no layers",
    "lambda:PublishVersion": "no versions",
    "logs:*DataProtectionPolicy": "no group has one; GetDataProtectionPolicy is read all the same",
    "logs:*KmsKey": "logs are encrypted by CloudWatch's own key",
    "logs:CreateLogStream": "for imports into a table",
    "logs:PutLogEvents": "for imports into a table",
    "logs:DescribeLogStreams": "for imports into a table",
    "logs:*LogGroup": "only Create and Delete are for the group; tags are set by TagResource",
    "logs:DeleteRetentionPolicy": "every group has a retention",
    "s3:GetObjectVersion": "the artifacts bucket's objects are read by key",
    "s3:GetObjectMetadata": "for imports into a table",
    "s3:ListBucket": "for imports into a table",
    "s3:REST.PUT.OBJECT": "not an action",
}

# Actions that are needed although a pattern above matches them.
NEEDED = [
    "dynamodb:ListTagsOfResource",
    "events:ListTagsForResource",
    "events:ListTargetsByRule",
    "iam:ListAttachedRolePolicies",
    "iam:ListRolePolicies",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "lambda:ListTags",
    "logs:CreateLogGroup",
    "logs:DeleteLogGroup",
    "logs:GetDataProtectionPolicy",
    "logs:ListTagsForResource",
    "sqs:ListQueueTags",
]

API = ["apigateway:DELETE", "apigateway:GET", "apigateway:PATCH", "apigateway:POST", "apigateway:PUT"]

# Actions of types whose schemas are not in the wheel, or are there without handlers: from AWS's documentation.
WITHOUT_SCHEMA = {
    "AWS::ApiGatewayV2::Api": API,
    "AWS::ApiGatewayV2::ApiMapping": API,
    "AWS::ApiGatewayV2::DomainName": API,
    # The logs actions are for access logs, which API Gateway writes by a log delivery.
    "AWS::ApiGatewayV2::Stage": API + ["logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:UpdateLogDelivery"],
    "AWS::CloudFormation::Stack": ["cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:DescribeStacks", "cloudformation:TagResource", "cloudformation:UntagResource", "cloudformation:UpdateStack"],
    "AWS::CloudWatch::Alarm": ["cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"],
    "AWS::CloudWatch::Dashboard": ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
    "AWS::Events::EventBus": ["events:CreateEventBus", "events:DeleteEventBus", "events:DescribeEventBus", "events:TagResource", "events:UntagResource", "events:UpdateEventBus"],
    "AWS::Events::Rule": ["events:DeleteRule", "events:DescribeRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"],
    "AWS::Lambda::EventInvokeConfig": ["lambda:DeleteFunctionEventInvokeConfig", "lambda:GetFunctionEventInvokeConfig", "lambda:PutFunctionEventInvokeConfig", "lambda:UpdateFunctionEventInvokeConfig"],
    "AWS::Lambda::Permission": ["lambda:AddPermission", "lambda:GetPolicy", "lambda:RemovePermission"],
    "AWS::SES::ConfigurationSet": ["ses:CreateConfigurationSet", "ses:DeleteConfigurationSet", "ses:GetConfigurationSet", "ses:ListTagsForResource", "ses:PutConfigurationSetReputationOptions", "ses:TagResource", "ses:UntagResource"],
    "AWS::SES::ConfigurationSetEventDestination": ["ses:CreateConfigurationSetEventDestination", "ses:DeleteConfigurationSetEventDestination", "ses:GetConfigurationSetEventDestinations", "ses:UpdateConfigurationSetEventDestination"],
    "AWS::Logs::MetricFilter": ["logs:DeleteMetricFilter", "logs:DescribeMetricFilters", "logs:PutMetricFilter"],
}

# Actions that CloudFormation calls although no schema names them.
UNSAID = {
    "AWS::KMS::Key": ["kms:CancelKeyDeletion"],
    "AWS::Lambda::EventSourceMapping": ["lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"],
    "AWS::Lambda::Function": ["lambda:GetFunctionConfiguration"],
    "AWS::Logs::LogGroup": ["logs:TagResource", "logs:UntagResource"],
}


# Actions that no deployment may use unless the role's parameter MayChangeProtection is "true". Tagging is among them,
# as a permission to tag a new key is one to tag any key.
PROTECTED = [
    "dynamodb:DeleteBackup",
    "dynamodb:UpdateContinuousBackups",
    "kms:CreateKey",
    "kms:DisableKey",
    "kms:PutKeyPolicy",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
]

# Actions that no deployment may use in prod, whatever the parameter is.
NEVER_IN_PROD = ["dynamodb:DeleteBackup", "dynamodb:DeleteTable", "kms:DisableKey", "kms:ScheduleKeyDeletion"]


def schemas(directory):
    """Returns the permissions that handlers need, by resource type, for types whose schemas have handlers."""
    found = {}
    for wheel in directory.glob("localstack_core-*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name.endswith(".schema.json"):
                    schema = json.loads(archive.read(name))
                    asked = {one for handler in schema.get("handlers", {}).values() for one in handler.get("permissions", [])}
                    found.setdefault(schema["typeName"], set()).update(asked)
    return {kind: asked for kind, asked in found.items() if asked}


def is_needed(action):
    return action in NEEDED or not any(fnmatch.fnmatchcase(action, pattern) for pattern in NOT_NEEDED)


def granted(role):
    """The actions that the role's statements allow."""
    statements = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    actions = set()
    for statement in statements:
        statement = statement.get("Fn::If", [None, statement])[1]
        if statement["Effect"] == "Allow":
            actions |= set(statement["Action"])
    return actions


def chosen(value, conditions):
    """Returns a value of the template with its conditions evaluated; `None` for a value that they leave out."""
    if isinstance(value, dict):
        if "Fn::If" in value:
            condition, yes, no = value["Fn::If"]
            return chosen(yes if conditions[condition] else no, conditions)
        if value == {"Ref": "AWS::NoValue"}:
            return None
        return {name: chosen(one, conditions) for name, one in value.items()}
    if isinstance(value, list):
        return [one for one in (chosen(one, conditions) for one in value) if one is not None]
    return value


def can(policy, action):
    """Whether a policy's statements let somebody do this, to anything."""
    effects = {one["Effect"] for one in policy["Statement"] if any(fnmatch.fnmatchcase(action, name) for name in one["Action"])}
    return effects == {"Allow"}


def unprotected(role):
    """Yields actions that the role can use but must not: PROTECTED ones by default, or NEVER_IN_PROD ones in prod."""
    document = role["Properties"]["Policies"][0]["PolicyDocument"]
    for may_change in [False, True]:
        for is_prod in [False, True]:
            policy = chosen(document, {"MayChangeProtection": may_change, "MayDeleteTables": not is_prod})
            forbidden = (NEVER_IN_PROD if is_prod else []) + ([] if may_change else PROTECTED)
            for action in sorted({one for one in forbidden if can(policy, one)}):
                yield f"not protected: {action}, {'in' if is_prod else 'outside'} prod, MayChangeProtection={may_change}"


def compare(types, known, allowed):
    """Yields actions that resources of `types` need and are not `allowed`, and allowed ones that no type needs."""
    asked = {}
    for kind in types:
        if kind not in known and kind not in WITHOUT_SCHEMA:
            yield f"{kind}: no schema, and no line in WITHOUT_SCHEMA"
        for action in {*known.get(kind, ()), *WITHOUT_SCHEMA.get(kind, ()), *UNSAID.get(kind, ())}:
            asked.setdefault(action, set()).add(kind)
    for action, kinds in sorted(asked.items()):
        if is_needed(action) and action not in allowed:
            yield f"missing: {action}, for {', '.join(sorted(kinds))}"
    for action in sorted(allowed - asked.keys() - set(NEEDED)):
        yield f"not needed: {action}"


def resource_types(directory):
    """Types of the stack's resources, the nested stack's included."""
    files = [json.loads((directory / "template.json").read_text()), read(INFRA / "observability.yaml")]
    return {one["Type"] for file in files for one in file["Resources"].values()}


def main(expanded, wheels):
    known, types = schemas(wheels), resource_types(expanded)
    role = read(INFRA / "deploy_role.yaml")["Resources"]["CloudFormationRole"]
    allowed = granted(role)
    wrong = [*compare(types, known, allowed), *unprotected(role)]
    by_schema = len(types & known.keys())
    print(f"{len(types)} resource types, {by_schema} by their schemas; {len(allowed)} actions allowed")
    print("\n".join(wrong) or "0 missing, 0 not needed, 0 not protected")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])))
