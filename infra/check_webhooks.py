"""Checks webhooks as a receiver would: with the Standard Webhooks library (standardwebhooks on PyPI).

Starts `cargo local`, a receiver on this machine, and leads one account through its life. Needs
standardwebhooks and nothing else. Usage: check_webhooks.py
"""

import hashlib
import hmac
import json
import subprocess
import sys
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

WANTED = [
    "customer_created",
    "customer_updated",
    "customer_frozen",
    "customer_recovered",
    "customer_deleted",
]
PASSWORD = "correct horse battery staple"


class Receiver(BaseHTTPRequestHandler):
    arrivals: list = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Receiver.arrivals.append((dict(self.headers.items()), body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def start():
    """Starts the stack; returns its process and its URL."""
    command = ["cargo", "local", "--in-memory", "--port", "0"]
    command += ["--parameter", "WebhookAllowLoopback=true"]
    stack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in stack.stdout:
        if line.startswith("listening on "):
            return stack, line.split()[-1]
    sys.exit("the stack did not start")


def call(api, method, path, token=None, body=None):
    request = urllib.request.Request(api + path, method=method)
    request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(request, data) as answer:
        return json.load(answer)


def login(api, username, password):
    body = {"username": username, "password": password}
    return call(api, "POST", "/auth/login", body=body)["token"]


def live(api, url):
    """Leads an account through its life; returns its webhook secret and its delivery log."""
    admin = login(api, "admin@localhost", "local-admin-password")
    new = {
        "username": "test1",
        "password": PASSWORD,
        "webhook_method": "POST",
        "webhook_uri": url,
    }
    account = call(api, "POST", "/v1.0/customers", admin, new)
    token = login(api, "test1", PASSWORD)
    secret = call(api, "GET", "/v1.0/customer", token)["webhook_secret"]
    call(api, "PUT", "/v1.0/customer", token, {"name": "changed"})
    call(api, "POST", "/auth/unregister", token, {"password": PASSWORD})
    call(api, "DELETE", "/auth/unregister", token)
    call(api, "POST", "/_local/settle")
    log = call(api, "GET", "/v1.0/webhook_deliveries", token)["result"]
    call(api, "DELETE", f"/v1.0/customers/{account['id']}", admin)
    call(api, "POST", "/_local/settle")
    return secret, log


def check(secret, log):
    bodies = {}
    for headers, body in Receiver.arrivals:
        event = Webhook(secret).verify(body, headers)
        wanted = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {name.lower(): value for name, value in headers.items()}
        assert headers["x-voipbin-signature"] == f"sha256={wanted}"
        try:
            Webhook(secret).verify(body.replace(b"customer_", b"customer-"), headers)
            sys.exit("a changed body was not noticed")
        except WebhookVerificationError:
            pass
        bodies[event["sequence"]] = (headers["webhook-id"], event["type"])
    assert [bodies[place][1] for place in sorted(bodies)] == WANTED, bodies
    assert sorted(bodies) == list(range(1, 6)), "a gap"
    logged = [(entry["id"], entry["type"]) for entry in reversed(log)]
    assert logged == [bodies[place] for place in range(1, 5)], "the log says otherwise"
    assert {entry["status"] for entry in log} == {"delivered"}, log
    print(f"{len(Receiver.arrivals)} webhooks, each verified by the Standard Webhooks library")


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stack, api = start()
    try:
        secret, log = live(api, f"http://127.0.0.1:{server.server_port}/hook")
        check(secret, log)
    finally:
        stack.terminate()
        stack.wait()


if __name__ == "__main__":
    main()
