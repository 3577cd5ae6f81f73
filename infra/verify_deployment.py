"""Verifies a deployed stack: uses it as its customers do, waits for its purge, and looks at alarms and permissions.

    pip install --require-hashes -r infra/requirements/rehearsal.txt
    export TENURE_USERNAME=… TENURE_PASSWORD=…          # a project admin of the stack
    python3 infra/verify_deployment.py --stack tenure-dev

Prints a table, which belongs to the release's records. Takes minutes on a stage with GraceDays=0, where the scheduled
purge erases what was unregistered; elsewhere the account leaves at once. Makes one customer, and erases it.

Needs permission to describe the stack, its functions and alarms, to query its accounts table, and to simulate policies
(iam:SimulatePrincipalPolicy). Exit code: 0 if every check passed, 1 if not.
"""

import argparse
import concurrent.futures
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request

import boto3
import botocore.exceptions
from joserfc.jwk import KeySet

from smoke_test import QUESTIONS, is_right
from verify_receipt import NotGenuine, claims_of

PASSWORD = f"{secrets.token_urlsafe(12)} of a verification"

# Actions that no function may use; and by action, the only functions that may use it.
FORBIDDEN = ["dynamodb:Scan", "dynamodb:DeleteTable", "dynamodb:UpdateTable", "iam:PassRole", "kms:ScheduleKeyDeletion"]
SIGNERS = {"PurgeRunFunction", "ParticipantAskFunction", "ErasureAcknowledgeFunction", "ErasureWaiveFunction"}
ALONE = {"ses:SendEmail": {"MailSendFunction"}, "kms:Sign": SIGNERS}


class Failed(Exception):
    """A check has failed; the message says what is wrong."""


class Skipped(Exception):
    """A check could not be made; the message says why."""


def require(holds, what):
    if not holds:
        raise Failed(what)


class Stack:
    """A deployed stack. `api` sends a request (method, path, body, token), and returns status and body."""

    def __init__(self, name, client, api=None):
        self.client = client
        self.description = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        pages = client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=name)
        self.resources = [one for page in pages for one in page["StackResourceSummaries"]]
        self.call = api or self.over_https

    def output(self, name):
        return next(one["OutputValue"] for one in self.description["Outputs"] if one["OutputKey"] == name)

    def parameter(self, name, default):
        parameters = self.description.get("Parameters", [])
        return next((one["ParameterValue"] for one in parameters if one["ParameterKey"] == name), default)

    def functions(self):
        """Returns the physical names of all functions by their logical ids."""
        mine = [one for one in self.resources if one["ResourceType"] == "AWS::Lambda::Function"]
        return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in mine}

    def over_https(self, method, path, body=None, token=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.output("ApiUrl").rstrip("/") + path, data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def ok(self, method, path, body=None, token=None):
        """Sends a request, requires status 200, and returns the body of the answer."""
        status, answer = self.call(method, path, body, token)
        require(status == 200, f"{method} {path}: {status} {answer}")
        return answer


class Verification:
    """One run. Each check returns what it has seen, in words."""

    def __init__(self, stack, operator, questions, patience, starts_purge):
        self.stack, self.operator, self.questions = stack, operator, questions
        self.patience, self.starts_purge = patience, starts_purge
        self.customer = self.token = self.admin = self.receipt = None

    def answers(self):
        for method, path, body, status, word in self.questions:
            answered, answer = self.stack.call(method, path, body)
            require(is_right(answered, answer, status, word), f"{method} {path}: {answered} {answer}")
        return f"{len(self.questions)} questions that need no account"

    def customers_day(self):
        ok, name = self.stack.ok, f"verify-{secrets.token_hex(6)}"
        self.admin = ok("POST", "/auth/login", self.operator)["token"]
        own = {"username": name, "password": PASSWORD}
        self.customer = ok("POST", "/v1.0/customers", {**own, "name": "Verification"}, self.admin)
        require(self.customer["status"] == "initial", f"created as {self.customer['status']}")
        self.token = ok("POST", "/auth/login", own)["token"]
        changed = ok("PUT", "/v1.0/customer/metadata", {"rtp_debug": True}, self.token)
        require(changed["metadata"] == {"rtp_debug": True}, f"metadata: {changed['metadata']}")
        key = ok("POST", "/v1.0/accesskeys", {"expire": 86_400}, self.token)["token"]
        ok("POST", "/v1.0/numbers", {"name": "one"}, key)
        seen = ok("GET", "/v1.0/customer", token=key)
        require(seen["id"] == self.customer["id"], "the key is another account's")
        return f"customer {self.customer['id']}: created, logged in, changed, with a key and a resource"

    def leaves(self):
        ok, password = self.stack.ok, {"password": PASSWORD}
        days = int(self.stack.parameter("GraceDays", "30"))
        frozen = ok("POST", "/auth/unregister", password, self.token)
        require(frozen["status"] == "frozen", f"unregistered, and {frozen['status']}")
        status, _ = self.stack.call("GET", "/v1.0/accesskeys", None, self.token)
        require(status == 403, f"a frozen account's keys are listed: {status}")
        if days == 0:
            return "frozen and due at once, as GraceDays is 0"
        require(ok("DELETE", "/auth/unregister", token=self.token)["status"] == "initial", "not recovered")
        ok("POST", "/auth/unregister", {**password, "confirmation_phrase": "DELETE", "immediate": True}, self.token)
        return f"frozen for {days} days, recovered, left at once"

    def erased(self):
        path, began = f"/v1.0/customers/{self.customer['id']}/erasure", time.monotonic()
        while time.monotonic() - began < self.patience:
            if self.starts_purge:
                self.stack.client("lambda").invoke(FunctionName=self.stack.functions()["PurgeRunFunction"], Payload=b"{}")
            found = self.stack.ok("GET", path, token=self.admin)
            self.receipt = found.get("receipt")
            if self.receipt:
                gone = {kind: one["deleted"] for kind, one in found["resources"].items() if one["deleted"]}
                counts = ", ".join(f"{kind} {count}" for kind, count in sorted(gone.items()))
                started = "started by hand" if self.starts_purge else "by schedule"
                return f"{started}, after {time.monotonic() - began:.0f} s: {counts}"
            time.sleep(2 if self.starts_purge else 10)
        raise Failed(f"no receipt within {self.patience} s: {found}")

    def proved(self):
        keys = KeySet.import_key_set(self.stack.ok("GET", "/v1.0/erasure-keys"))
        try:
            claims = claims_of(self.receipt, keys)
        except NotGenuine as problem:
            raise Failed(f"the receipt is {problem}") from problem
        require(claims["sub"] == self.customer["id"], f"the receipt is about {claims['sub']}")
        return "the receipt verifies against the published keys"

    def nothing_left(self):
        found = self.stack.client("dynamodb").query(
            TableName=self.stack.output("AccountsTableName"),
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"CUSTOMER#{self.customer['id']}"}},
            ConsistentRead=True,
        )["Items"]
        require([item["sk"]["S"] for item in found] == ["A"], f"{len(found)} items are left")
        text = json.dumps(found)
        require("Verification" not in text and "verify-" not in text, "the tombstone has personal data")
        return "one tombstone, without name"

    def alarms(self):
        prefix = f"tenure-{self.stack.parameter('Stage', 'dev')}-"
        pages = self.stack.client("cloudwatch").get_paginator("describe_alarms").paginate(AlarmNamePrefix=prefix)
        alarms = [one for page in pages for one in page["MetricAlarms"]]
        require(alarms, "there are none")
        ringing = [one["AlarmName"] for one in alarms if one["StateValue"] == "ALARM"]
        require(not ringing, f"ringing: {', '.join(ringing)}")
        return f"{len(alarms)}, none rings"

    def permissions(self):
        functions = self.stack.functions()
        iam, client = self.stack.client("iam"), self.stack.client("lambda")
        _, partition, _, region, account, _ = self.stack.description["StackId"].split(":", 5)
        table = f"arn:{partition}:dynamodb:{region}:{account}:table/{self.stack.output('AccountsTableName')}"
        wanted = [*FORBIDDEN, *ALONE]

        def exceeding(name):
            role = client.get_function_configuration(FunctionName=functions[name])["Role"]
            results = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=wanted, ResourceArns=["*", table])
            allowed = {one["EvalActionName"] for one in results["EvaluationResults"] if one["EvalDecision"] == "allowed"}
            return [f"{name}: {action}" for action in allowed if name not in ALONE.get(action, ())]

        try:
            with concurrent.futures.ThreadPoolExecutor(4) as pool:
                found = [one for names in pool.map(exceeding, functions) for one in names]
        except botocore.exceptions.ClientError as error:
            raise Skipped(error.response["Error"]["Code"]) from error
        require(not found, "too much is allowed: " + "; ".join(found))
        return f"{len(functions)} roles, {len(wanted)} actions that they must not have, simulated"


CHECKS = [
    ("the API answers", Verification.answers),
    ("a customer's day", Verification.customers_day),
    ("leaving", Verification.leaves),
    ("the purge", Verification.erased),
    ("the proof", Verification.proved),
    ("what is left", Verification.nothing_left),
    ("alarms", Verification.alarms),
    ("permissions", Verification.permissions),
]


def verify(stack, operator, questions=QUESTIONS, patience=1500, starts_purge=False):
    """Makes all checks up to the first that fails, and prints the table. Returns whether none failed."""
    run = Verification(stack, operator, questions, patience, starts_purge)
    name, stage = stack.description["StackName"], stack.parameter("Stage", "dev")
    print(f"| {name}, stage {stage}, {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())} | | |\n|---|---|---|")
    for title, check in CHECKS:
        try:
            result, seen = "passed", check(run)
        except Skipped as reason:
            result, seen = "not made", f"the endpoint does not offer it ({reason})"
        except (Failed, KeyError, OSError, botocore.exceptions.BotoCoreError) as problem:
            print(f"| {title} | FAILED | {problem!r} |")
            return False
        print(f"| {title} | {result} | {seen} |", flush=True)
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stack", required=True, help="name of the stack")
    parser.add_argument("--region", help="its region, if not the profile's")
    parser.add_argument("--wait", type=int, default=1500, help="seconds for the scheduled purge")
    options = parser.parse_args()
    missing = [name for name in ("TENURE_USERNAME", "TENURE_PASSWORD") if name not in os.environ]
    if missing:
        parser.error(f"set {' and '.join(missing)}: a project admin of the stack")
    operator = {"username": os.environ["TENURE_USERNAME"], "password": os.environ["TENURE_PASSWORD"]}
    session = boto3.Session(region_name=options.region)
    return 0 if verify(Stack(options.stack, session.client), operator, patience=options.wait) else 1


if __name__ == "__main__":
    sys.exit(main())
