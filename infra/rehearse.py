"""Rehearses a deployment on an emulator of AWS that needs neither Docker nor an account.

    pip install --require-hashes -r infra/requirements/rehearsal.txt
    cargo build -p functions --bins          # or cargo lambda build --release --x86-64 --compiler cargo
    python3 infra/rehearse.py                # --binaries DIRECTORY, --from TAG

Makes a first deployment fail at five places, each of which must be rolled back without remains. Then creates the stack
from the expanded template (with --from, from that tag's template) with the binaries as packages, updates it with its
tables protected, checks the targets of rules, takes a customer through the API as the seed does, and deletes the stack:
tables must be neither replaced nor, where they are retained, deleted. The emulator evaluates no policies, deletes
protected tables, too (so their protection is checked here), knows no metric math, and does not read an HTTP API's
routes from SAM's body, so they are created by calls.
"""

import argparse
import concurrent.futures
import contextlib
import copy
import io
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile

import boto3

from lint_template import INFRA, expand, read
from smoke_test import QUESTIONS
from verify_deployment import Failed, Stack, Verification, verify

ROOT = INFRA.parent
STACK, FRONT, BUCKET = "tenure-rehearsal", "tenure-front", "packages"
PASSWORD = "correct horse battery staple"
KEPT = ("AccountsTable", "ErasuresTable", "ReceiptKey")
TABLES = ("AccountsTable", "OutboxTable", "ErasuresTable")
# Resources after which a first deployment is made to fail: among the tables, with a key, with readers of a stream, with
# the API, at the end.
FAILING_PLACES = ("AccountsTable", "ReceiptKeyAlias", "OutboxPublishFunctionOutbox", "ApiApiGatewayDefaultStage", "Observability")


def step(text):
    print(f"== {text}", flush=True)


def until(what, check, seconds=120):
    """Calls `check` until its result is true, and returns that; exits if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.2)
    raise SystemExit(f"{what}: not within {seconds} s")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def emulator():
    """Starts ministack, the emulator, on loopback; yields its endpoint."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    home = tempfile.TemporaryDirectory()
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": endpoint,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "HOME": home.name,
    }
    program = pathlib.Path(sys.executable).with_name("ministack")
    log = open(pathlib.Path(home.name, "log"), "w+")
    process = subprocess.Popen([program], env=environment, cwd=home.name, stdout=log, stderr=log)
    try:
        until("the emulator starts", lambda: is_up(port))
        yield endpoint
    except BaseException:
        log.seek(0)
        print("".join(log.readlines()[-40:]), file=sys.stderr)
        raise
    finally:
        process.terminate()
        process.wait()
        log.close()
        home.cleanup()


def is_up(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def package(binary):
    """Returns a function's package: a ZIP file with its binary, stripped, as `bootstrap`."""
    with tempfile.TemporaryDirectory() as directory:
        stripped = pathlib.Path(directory, "bootstrap")
        subprocess.run(["strip", "-o", stripped, binary], check=True)
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o755 << 16
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(info, stripped.read_bytes())
        return packed.getvalue()


class Rehearsal:
    def __init__(self, endpoint, binaries):
        self.endpoint, self.binaries = endpoint, binaries
        session = boto3.Session("test", "test", region_name="us-east-1")
        self.client = lambda service: session.client(service, endpoint_url=endpoint)
        self.cloudformation, self.s3 = self.client("cloudformation"), self.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.packed = set()
        self.template = read(ROOT / "template.yaml")
        self.present = self.expanded(copy.deepcopy(self.template))

    def upload(self, binary):
        if binary not in self.packed and self.binaries.joinpath(binary).exists():
            self.s3.put_object(Bucket=BUCKET, Key=binary, Body=package(self.binaries / binary))
            self.packed.add(binary)

    def expanded(self, template):
        """Uploads the functions' packages; returns the template that CloudFormation gets."""
        functions = [one for one in template["Resources"].values() if one["Type"] == "AWS::Serverless::Function"]
        binaries = [one["Metadata"]["BuildProperties"]["Binary"] for one in functions]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(self.upload, binaries))
        for function, binary in zip(functions, binaries):
            function["Properties"]["CodeUri"] = f"s3://{BUCKET}/{binary}"
        everywhere = template["Globals"]["Function"]
        everywhere["Architectures"] = ["x86_64"]
        for service in ("DYNAMODB", "EVENTBRIDGE", "KMS"):
            everywhere["Environment"]["Variables"][f"AWS_ENDPOINT_URL_{service}"] = self.endpoint
        expanded = expand(template)
        alarms = expanded["Resources"].get("Observability")
        if alarms:
            nested = read(INFRA / "observability.yaml")
            for alarm in nested["Resources"].values():
                # The emulator has no metric math, so the alarm is on the first metric only.
                metrics = alarm["Properties"].pop("Metrics", None)
                if metrics:
                    first = metrics[1]["MetricStat"]
                    alarm["Properties"] |= first["Metric"] | {"Statistic": first["Stat"], "Period": first["Period"]}
            body = json.dumps(nested).encode()
            self.s3.put_object(Bucket=BUCKET, Key="observability.json", Body=body)
            alarms["Properties"]["TemplateURL"] = f"{self.endpoint}/{BUCKET}/observability.json"
        return expanded

    def begin(self, expanded, verb, **options):
        """Creates or updates the stack, and waits until that ends; returns the stack's status."""
        self.s3.put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(expanded).encode())
        getattr(self.cloudformation, f"{verb}_stack")(
            StackName=STACK,
            TemplateURL=f"{self.endpoint}/{BUCKET}/template.json",
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            **options,
        )
        return until(f"{verb} ends", lambda: self.ended(verb))

    def put(self, expanded, verb, protected=True):
        """Creates or updates the stack, with or without deletion protection of its tables; exits if that fails."""
        # Templates of early versions have no such parameter.
        parameters = protection(protected) if "DeletionProtection" in expanded["Parameters"] else []
        status = self.begin(expanded, verb, Parameters=parameters)
        if status != f"{verb.upper()}_COMPLETE":
            for event in self.cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]:
                if "FAILED" in event["ResourceStatus"]:
                    print(event["LogicalResourceId"], event.get("ResourceStatusReason"))
            raise SystemExit(f"the stack is {status}")

    def fail(self, place, resources, protected=False):
        """Makes a first deployment fail after the resource `place`, and deletes the stack. Returns how many resources
        were created, the status after the rollback, and what blocks the next deployment: remains of the stack, and
        tables that CloudFormation was not allowed to delete."""
        failing = {
            "FailureHandle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
            "Failure": {
                "Type": "AWS::CloudFormation::WaitCondition",
                "DependsOn": place,
                "Properties": {"Handle": {"Ref": "FailureHandle"}, "Timeout": "1"},
            },
        }
        before = self.inventory()
        # Without the automatic rollback, the stack stops where it has failed, to look at what it has created.
        expanded = self.present | {"Resources": resources | failing}
        status = self.begin(expanded, "create", Parameters=protection(protected), DisableRollback=True)
        assert status == "CREATE_FAILED", status
        there = {one["LogicalResourceId"]: one for one in self.resources()}
        assert there[place]["ResourceStatus"] == "CREATE_COMPLETE", there[place]
        made = self.inventory() - before
        describe = self.client("dynamodb").describe_table
        tables = [name for kind, name in made if kind == "table"]
        blocking = {f"{name} is protected" for name in tables if describe(TableName=name)["Table"]["DeletionProtectionEnabled"]}
        self.cloudformation.rollback_stack(StackName=STACK)
        status = until("the rollback ends", lambda: self.ended("rollback"))
        self.cloudformation.delete_stack(StackName=STACK)
        until("the stack goes", lambda: STACK not in self.stacks())
        blocking |= {f"{kind} {name} is left" for kind, name in self.inventory() - before}
        return len(made), status, sorted(blocking)

    def inventory(self):
        """Returns all resources, of any stack, as pairs of kind and name, except keys that are pending deletion."""
        listed = [
            ("table", "dynamodb", "list_tables", "TableNames", None),
            ("function", "lambda", "list_functions", "Functions", "FunctionName"),
            ("mapping", "lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
            ("role", "iam", "list_roles", "Roles", "RoleName"),
            ("log group", "logs", "describe_log_groups", "logGroups", "logGroupName"),
            ("queue", "sqs", "list_queues", "QueueUrls", None),
            ("bus", "events", "list_event_buses", "EventBuses", "Name"),
            ("parameter", "ssm", "describe_parameters", "Parameters", "Name"),
            ("api", "apigatewayv2", "get_apis", "Items", "ApiId"),
            ("alarm", "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
            ("alias", "kms", "list_aliases", "Aliases", "AliasName"),
        ]
        found = set()
        for kind, service, operation, field, name in listed:
            client = self.client(service)
            pages = client.get_paginator(operation).paginate() if client.can_paginate(operation) else [getattr(client, operation)()]
            found |= {(kind, one[name] if name else one) for page in pages for one in page.get(field, [])}
        kms = self.client("kms")
        keys = [kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]]
        return found | {("key", key["KeyId"]) for key in keys if key["KeyState"] != "PendingDeletion"}

    def failed_first_deployments(self):
        resources = self.present["Resources"]
        for place in FAILING_PLACES:
            made, status, blocking = self.fail(place, resources)
            assert status == "ROLLBACK_COMPLETE" and not blocking, (place, status, blocking)
            print(f"failed behind {place}: {made} things made, all taken back; nothing blocks the next")
        # To show that this check would find them: a retained table, and protection from the start, block the next one.
        retained = resources | {"AccountsTable": resources["AccountsTable"] | {"DeletionPolicy": "Retain"}}
        _, _, blocking = self.fail("AccountsTable", retained, protected=True)
        assert {reason.split(" is ")[1] for reason in blocking} == {"left", "protected"}, blocking
        print(f"retained and protected from the start, they are found: {'; '.join(blocking)}")
        for name in self.client("dynamodb").list_tables()["TableNames"]:
            self.client("dynamodb").update_table(TableName=name, DeletionProtectionEnabled=False)
            self.client("dynamodb").delete_table(TableName=name)

    def protect(self):
        """Deploys the same again with protection, as after a first deployment; asserts that the accounts and erasures
        tables are protected, and that no table was replaced."""
        before = self.physical(*TABLES)
        self.put(self.present, "update")
        assert self.physical(*TABLES) == before, "a table was replaced"
        describe = self.client("dynamodb").describe_table
        protected = {name for name, table in before.items() if describe(TableName=table)["Table"]["DeletionProtectionEnabled"]}
        assert protected == {"AccountsTable", "ErasuresTable"}, protected
        print("repeated, the first deployment succeeds; the next protects both tables of record")

    def ended(self, verb, name=STACK):
        stack = self.cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        status = stack["StackStatus"]
        return None if status.endswith("IN_PROGRESS") else status

    def resources(self):
        pages = self.cloudformation.get_paginator("list_stack_resources").paginate(StackName=STACK)
        return [one for page in pages for one in page["StackResourceSummaries"]]

    def physical(self, *logical):
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in self.resources()}
        return {name: ids[name] for name in logical}

    def check_resources(self):
        """Checks that all resources of the template without a condition exist and are complete."""
        there = self.resources()
        states = {one["ResourceStatus"] for one in there}
        assert states <= {"CREATE_COMPLETE", "UPDATE_COMPLETE"}, states
        wanted = {name for name, one in self.present["Resources"].items() if "Condition" not in one}
        missing = wanted - {one["LogicalResourceId"] for one in there}
        assert not missing, missing
        nested = self.physical("Observability").get("Observability")
        inner = self.cloudformation.list_stack_resources(StackName=nested)["StackResourceSummaries"]
        print(f"{len(there)} resources, and {len(inner)} in the nested stack, all complete")

    def make_routes(self):
        """Creates the routes that a deployment would read from the API's body; returns the API's id."""
        gateway = self.client("apigatewayv2")
        api = self.physical("Api")["Api"]
        ids = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in self.resources()}
        count = 0
        for path, methods in self.present["Resources"]["Api"]["Properties"]["Body"]["paths"].items():
            for method, operation in methods.items():
                uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
                function = ids[uri.split("${")[-1].split(".Arn}")[0]]
                integration = gateway.create_integration(
                    ApiId=api,
                    IntegrationType="AWS_PROXY",
                    IntegrationUri=f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
                    PayloadFormatVersion="2.0",
                )["IntegrationId"]
                key = "$default" if path == "/$default" else f"{method.upper()} {path}"
                gateway.create_route(ApiId=api, RouteKey=key, Target=f"integrations/{integration}")
                count += 1
        print(f"{count} routes")
        return api

    def check_rules(self):
        """Checks that each rule and schedule of a function has that function as its only target, with retries."""
        events, count = self.client("events"), 0
        for function, resource in self.template["Resources"].items():
            for name, event in (resource.get("Properties") or {}).get("Events", {}).items():
                if event["Type"] not in ("Schedule", "EventBridgeRule"):
                    continue
                ids = self.physical(function, f"{function}{name}")
                rule = ids[f"{function}{name}"].rsplit("|")[-1].rsplit("/")[-1]
                # Without a bus of its own, a rule is on the default one.
                bus = {"EventBusName": self.physical("Bus")["Bus"]} if "EventBusName" in event["Properties"] else {}
                targets = events.list_targets_by_rule(Rule=rule, **bus)["Targets"]
                arns = [target["Arn"].rsplit(":function:")[-1] for target in targets]
                assert arns == [ids[function]], (function, name, arns)
                assert targets[0]["RetryPolicy"], targets
                # The rules in infra/guard say which may have no dead-letter queue.
                assert ("DeadLetterConfig" in targets[0]) == ("DeadLetterConfig" in event["Properties"]), targets
                count += 1
        print(f"{count} rules and schedules point to their functions, with retries and the dead letters that they should have")

    def invoke(self, function, payload):
        name = self.physical(function)[function]
        answer = self.client("lambda").invoke(FunctionName=name, Payload=json.dumps(payload))
        body = answer["Payload"].read()
        assert "FunctionError" not in answer, body
        return json.loads(body)

    def call(self, api, method, path, body=None, token=None):
        """Sends a request to the API; returns the status and body of the answer."""
        port = self.endpoint.rsplit(":")[-1]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}{path}", data, method=method)
        request.add_header("Host", f"{api}.execute-api.localhost:{port}")
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def seeds_way(self, api):
        """Takes a customer through the API as the seed does: creates it, logs in, changes it, unregisters, recovers,
        and unregisters at once; then waits for the receipt."""

        def ok(*arguments, **named):
            status, body = self.call(api, *arguments, **named)
            assert status == 200, (arguments, status, body)
            return body

        admin = {"username": "admin@example.com", "password": PASSWORD}
        assert self.invoke("AdminBootstrapFunction", admin)["created"] is True
        admin = ok("POST", "/auth/login", admin)["token"]
        own = {"username": "test1", "password": PASSWORD}
        customer = ok("POST", "/v1.0/customers", {**own, "name": "Test Company"}, admin)
        assert customer["status"] == "initial", customer
        assert ok("GET", "/v1.0/customers", token=admin)["result"], "no customer is listed"
        token = ok("POST", "/auth/login", own)["token"]
        assert ok("PUT", "/v1.0/customer/metadata", {"rtp_debug": True}, token)["metadata"] == {"rtp_debug": True}
        assert ok("POST", "/auth/unregister", {"password": PASSWORD}, token)["status"] == "frozen"
        assert self.call(api, "GET", "/v1.0/accesskeys", token=token)[0] == 403
        assert ok("DELETE", "/auth/unregister", token=token)["status"] != "frozen"
        at_once = {"password": PASSWORD, "confirmation_phrase": "DELETE", "immediate": True}
        assert ok("POST", "/auth/unregister", at_once, token)["status"] == "deleted"
        # The bus starts the purge; in case that is late, `receipt` starts it, too.
        ledger = f"/v1.0/customers/{customer['id']}/erasure"

        def receipt():
            self.invoke("PurgeRunFunction", {})
            return ok("GET", ledger, token=admin).get("receipt")

        until("the purge ends with a receipt", receipt, 60)
        print("the seed's way: created, logged in, changed, left, came back, left at once, erased, receipted")

    def verify(self, api):
        """Checks that verify_deployment.py passes, as after a deployment, and that it fails if an alarm is on."""
        stack = Stack(STACK, self.client, lambda method, path, body=None, token=None: self.call(api, method, path, body, token))
        operator = {"username": "admin@example.com", "password": PASSWORD}
        # The emulator sends nothing to the route $default.
        questions = [one for one in QUESTIONS if one[1] != "/no-such-route"]
        assert verify(stack, operator, questions, patience=60, starts_purge=True), "a check failed"
        watch, (alarm, *_) = self.client("cloudwatch"), self.client("cloudwatch").describe_alarms()["MetricAlarms"]
        watch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="rehearsed")
        try:
            Verification(stack, operator, questions, 60, True).alarms()
        except Failed:
            print("an alarm that rings is found")
        else:
            raise SystemExit("an alarm rings, and the verification passes")

    def front(self):
        """Creates the front (CloudFront); checks that it has its own firewall, and sends the API its secret and the
        viewer's address."""
        parameters = {
            "DomainName": "api.example.com",
            "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/one",
            "ApiDomainTarget": "d-one.execute-api.us-east-1.amazonaws.com",
            "OriginSecret": "secret-of-43-characters-secret-of-43-charac",
        }
        self.cloudformation.create_stack(
            StackName=FRONT,
            TemplateBody=json.dumps(read(INFRA / "front.yaml")),
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        )
        status = until("the front is there", lambda: self.ended("create", FRONT))
        assert status == "CREATE_COMPLETE", status
        cloudfront = self.client("cloudfront")
        (front,) = cloudfront.list_distributions()["DistributionList"]["Items"]
        (firewall,) = self.client("wafv2").list_web_acls(Scope="CLOUDFRONT")["WebACLs"]
        (origin,) = front["Origins"]["Items"]
        policy = front["DefaultCacheBehavior"]["OriginRequestPolicyId"]
        policy = cloudfront.get_origin_request_policy(Id=policy)["OriginRequestPolicy"]["OriginRequestPolicyConfig"]
        assert front["WebACLId"] == firewall["ARN"], front["WebACLId"]
        assert front["Aliases"]["Items"] == [parameters["DomainName"]], front["Aliases"]
        assert origin["DomainName"] == parameters["ApiDomainTarget"], origin
        sent = {one["HeaderName"]: one["HeaderValue"] for one in origin["CustomHeaders"]["Items"]}
        assert sent == {"x-origin-secret": parameters["OriginSecret"]}, sent.keys()
        assert policy["HeadersConfig"]["Headers"]["Items"] == ["CloudFront-Viewer-Address"], policy
        self.cloudformation.delete_stack(StackName=FRONT)
        until("the front goes", lambda: FRONT not in self.stacks())
        print("the front: its firewall, its secret and the viewer's address are on the way to the API")

    def delete(self):
        kept = self.physical(*KEPT)
        outbox = self.physical("OutboxTable")["OutboxTable"]
        tables = self.client("dynamodb")
        self.cloudformation.delete_stack(StackName=STACK)
        until("the stack goes", lambda: STACK not in self.stacks())
        for name in ("AccountsTable", "ErasuresTable"):
            assert tables.describe_table(TableName=kept[name])["Table"]["ItemCount"] >= 0
        assert self.client("kms").describe_key(KeyId=kept["ReceiptKey"])["KeyMetadata"]["Enabled"]
        assert outbox not in tables.list_tables()["TableNames"], "the outbox is retained"
        print("deleted: both tables of record and the key are still there, the outbox is not")

    def stacks(self):
        live = self.cloudformation.describe_stacks()["Stacks"]
        return {one["StackName"] for one in live if one["StackStatus"] != "DELETE_COMPLETE"}


def protection(wanted):
    return [{"ParameterKey": "DeletionProtection", "ParameterValue": "true" if wanted else "false"}]


def at_tag(tag):
    text = subprocess.run(["git", "show", f"{tag}:template.yaml"], cwd=ROOT, capture_output=True, check=True)
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        file.write(text.stdout)
        file.flush()
        template = read(file.name)
    # The emulator can create alarms that know their ARNs, but not update them.
    template["Resources"].pop("Observability", None)
    return template


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target/debug")
    parser.add_argument("--from", dest="tag", help="a tag whose stack is updated to this one")
    options = parser.parse_args()
    with emulator() as endpoint:
        step("packages")
        rehearsal = Rehearsal(endpoint, options.binaries)
        step("a first deployment that fails")
        rehearsal.failed_first_deployments()
        step("create" if not options.tag else f"create as of {options.tag}")
        first = rehearsal.expanded(at_tag(options.tag)) if options.tag else rehearsal.present
        rehearsal.put(first, "create", protected=False)
        step("update")
        rehearsal.protect()
        rehearsal.check_resources()
        step("use")
        api = rehearsal.make_routes()
        rehearsal.check_rules()
        rehearsal.seeds_way(api)
        step("verify, as after a deployment")
        rehearsal.verify(api)
        step("a front")
        rehearsal.front()
        step("delete")
        rehearsal.delete()


if __name__ == "__main__":
    main()
