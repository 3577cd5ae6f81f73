"""Sends the local stack requests that Schemathesis generates from infra/openapi.yaml, and checks the answers.

    pip install --require-hashes -r infra/requirements/schemathesis.txt
    python3 infra/check_api.py                # some 5,000 cases
    python3 infra/check_api.py --cases 20000  # at least 20,000

There is a run for each of several callers, with the operations that do not end what its later requests need, such as
its own session. Fails on any failure of Schemathesis, on any 5xx, on a function that crashed, and if an operation was
never answered by 200.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import requests

infra = pathlib.Path(__file__).resolve().parent
TEN_YEARS = 3650 * 86400
WEBHOOKS = ["testWebhook", "listWebhookDeliveries", "resendWebhookDelivery"]
RESOURCES = ["createResource", "getResource", "updateResource", "deleteResource"]
THINGS = ["updateResource", "deleteResource", "sendPasswordLink"]
THINGS += ["deleteAgent", "updateAgentPermission", "deleteSession"]
THINGS += ["getAccessKey", "updateAccessKey", "deleteAccessKey", "rotateAccessKey"]
PARTICIPANTS = ["setParticipant", "getParticipant", "listParticipantRequests", "deleteParticipant"]
LEAVING = ["unregister", "recover", "logout"]
LINKS = ["forgetPassword", "resetPassword", "unregisterByLink"]
ANSWERS = ["acknowledgeErasure", "waiveParticipant"]
# Operations that access keys may not use, and agents use with their password.
PEOPLE = ["createAgent", "updateAgentPermission", "updateAgentPassword", "createAccessKey", "verifyEmail"]


class Api:
    def __init__(self, url):
        self.url = url

    def call(self, method, path, token=None, **body):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = requests.request(method, self.url + path, json=body or None, headers=headers, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def login(self, username, password):
        return self.call("POST", "/auth/login", username=username, password=password)["token"]

    def customer(self, username, password):
        """Creates a customer; returns the token of a session."""
        profile = {"webhook_method": "POST", "webhook_uri": "https://example.com/hook"}
        self.call("POST", "/v1.0/customers", self.operator, username=username, password=password, **profile)
        return self.login(username, password)

    def key(self, session):
        """Creates an access key; returns its token, and the ids of what the run must leave unchanged to keep it."""
        key = self.call("POST", "/v1.0/accesskeys", session, expire=TEN_YEARS)
        return key["token"], [key["id"], key["agent_id"]]


def start_stack(log):
    command = ["cargo", "local", "--in-memory", "--port", "0"]
    # Rate limits are not what is checked here.
    command += ["--parameter", "RequestsPerMinute=1000000", "--parameter", "InvalidTokensPerMinute=1000000"]
    command += ["--parameter", "DeletionsPerHour=0"]
    command += ["--parameter", "MailsPerAddressPerHour=0", "--parameter", "MailRequestsPerNetworkPerHour=0"]
    stack = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    for line in stack.stdout:
        if line.startswith("listening on "):
            return stack, line.split()[-1]
    sys.exit("the local stack does not start: run `cargo local`")


def run(api, seed, name, token, examples, phases, only=(), without=(), own=(), operator=None, owner=None, inviter=None, password=""):
    """Runs Schemathesis; returns the number of cases, the answers by operation and status, and whether it passed."""
    with tempfile.TemporaryDirectory() as directory:
        report, counts = f"{directory}/report.json", f"{directory}/counts.json"
        command = [pathlib.Path(sys.executable).with_name("st"), "--config-file", infra / "check_api.toml", "run"]
        command += [f"{api.url}/openapi.json", "--seed", seed, "--max-examples", examples, "--no-color"]
        command += ["--continue-on-failure", "--report-json-path", report, "--phases", phases]
        command += [part for operation in only for part in ("--include-operation-id", operation)]
        command += [part for operation in without for part in ("--exclude-operation-id", operation)]
        if token:
            command += ["--header", f"Authorization: Bearer {token}"]
        else:
            # The hooks give every call a session, so this check has no call without one.
            command += ["--exclude-checks", "ignored_auth"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(infra),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SCHEMATHESIS_HOOKS": "check_api_hooks",
            "TENURE_API": api.url,
            "TENURE_COUNTS": counts,
            "TENURE_OWN": ",".join(own),
            "TENURE_OPERATOR": operator or "",
            "TENURE_OWNER": owner or "",
            "TENURE_INVITER": inviter or "",
            "TENURE_PASSWORD": password,
        }
        command = [str(part) for part in command]
        done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True)
        try:
            told_by_it = json.loads(pathlib.Path(report).read_text())
            answers = collections.Counter(json.loads(pathlib.Path(counts).read_text()))
        except FileNotFoundError:
            sys.exit(done.stdout + done.stderr)
        cases, seconds = told_by_it["test_cases"]["generated"], told_by_it["running_time"]
        print(f"{name}, seed {seed}: {cases} cases in {seconds:.0f} s, {told(answers)}", flush=True)
        if done.returncode:
            print(done.stdout, done.stderr, flush=True)
        return cases, answers, done.returncode == 0


def runs(api, seed, size, thorough):
    """Runs Schemathesis once for each caller."""
    # Malformed requests are refused alike for all callers, so only a thorough run tests them with each caller.
    some = "examples,coverage,fuzzing,stateful" if thorough else "examples,fuzzing,stateful"
    # The customer that the description's example of logging in names.
    if seed == 1:
        api.customer("test1", "ee5f3d14-5ac6-11ed-808e-6f7d676a444b")
    person = api.customer(f"admin-{seed}", "admins password")
    admin, own = api.key(person)
    # First, before another run changes the webhook's URI.
    yield run(api, seed, "webhooks", admin, size, "fuzzing,stateful", only=WEBHOOKS, own=own)
    # In a run of their own, so that the few steps of a scenario reach all of these operations.
    yield run(api, seed, "resources", admin, size, "stateful", only=RESOURCES, own=own)
    # A scenario may end before it changes what it has created, so here each call gets an object created for it.
    api.customer(f"owner-{seed}", "owners password")
    owner = api.login(f"owner-{seed}", "owners password")
    yield run(api, seed, "things", owner, size, "fuzzing", only=THINGS, owner=owner)
    yield run(api, seed, "participants", api.operator, size, "fuzzing", only=PARTICIPANTS, owner=api.operator)
    yield run(api, seed, "customers", api.operator, size, "fuzzing", only=["deleteCustomer"], owner=api.operator)
    # Every call gets an erasure of its own that asks this participant.
    api.call("PUT", "/v1.0/participants/carrier", api.operator, required=True)
    yield run(api, seed, "answers", api.operator, size, "fuzzing", only=ANSWERS, owner=api.operator)
    yield run(api, seed, "people", person, size, "fuzzing,stateful", only=PEOPLE, own=own, password="admins password")
    # Unregistering would end the account that the other operations need.
    yield run(api, seed, "customer admin", admin, size, some, without=["unregister"], own=own)
    username, password = f"agent-{seed}", "agents password"
    api.call("POST", "/v1.0/agents", admin, username=username, password=password, permission=16)
    yield run(api, seed, "agent", api.login(username, password), size, some, without=LEAVING)
    operator, own = api.key(api.operator)
    yield run(api, seed, "project admin", operator, size, "examples,coverage,fuzzing,stateful", own=own)
    yield run(api, seed, "mailed links", None, size, "examples,fuzzing", only=LINKS, inviter=api.operator)
    # Without the stateful phase, as no operation here uses the result of another.
    yield run(api, seed, "leaving", None, size, "examples,coverage,fuzzing", only=[*LEAVING, "getErasureStatus"], operator=operator)


def check(api, wanted, size):
    """Runs until there were at least `wanted` cases; returns the problems."""
    api.operator = api.login("admin@localhost", "local-admin-password")
    cases, answers, problems, seed = 0, collections.Counter(), [], 0
    while seed == 0 or cases < wanted:
        seed += 1
        for more, seen, passed in runs(api, seed, size, wanted > 1):
            cases, answers = cases + more, answers + seen
            if not passed:
                problems.append(f"Schemathesis is not content (seed {seed})")
        # Login attempts are limited per network, and all of these come from one: start a new window.
        api.call("POST", "/_local/clock", advance_seconds=11 * 60)
        api.operator = api.login("admin@localhost", "local-admin-password")
    for operation in operations(api):
        if f"{operation} 200" not in answers:
            problems.append(f"{operation} was never answered by 200")
    problems += [f"{number} times {answer}" for answer, number in answers.items() if answer.split()[1] >= "500"]
    for name, function in api.call("GET", "/_local/stats")["functions"].items():
        if function["errors"]:
            problems.append(f"{name} failed {function['errors']} times")
    print(f"{cases} cases, {told(answers)}")
    return problems


def told(answers):
    """Returns the number of answers by status, as text."""
    statuses = collections.Counter()
    for answer, number in answers.items():
        statuses[answer.split()[1]] += number
    return f"{sum(statuses.values())} answers {dict(sorted(statuses.items()))}"


def operations(api):
    for path in api.call("GET", "/openapi.json")["paths"].values():
        yield from (part["operationId"] for part in path.values() if "operationId" in part)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--cases", type=int, default=1, help="go on with other seeds until there were so many")
    arguments.add_argument("--examples", type=int, default=8, help="most cases of an operation in a phase of a run")
    arguments = arguments.parse_args()
    with tempfile.TemporaryFile("w+") as log:
        stack, url = start_stack(log)
        try:
            problems = check(Api(url), arguments.cases, arguments.examples)
        finally:
            stack.terminate()
            stack.wait()
        if problems:
            log.seek(0)
            print(*(line for line in log if "ERROR" in line or line.startswith("[local]")), sep="")
    sys.exit("\n".join(problems) or 0)


main()
