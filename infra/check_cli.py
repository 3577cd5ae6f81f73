"""Runs the command line against the local stack, as an operator does, and against a server with hostile answers.

    cargo build -p cli
    python3 infra/check_cli.py                 # an erasure of 300 items is watched
    python3 infra/check_cli.py --items 5000

Needs the functions and the local stack built, too, which `cargo test` does, and openssl.
"""

import argparse
import concurrent.futures
import contextlib
import http.client
import http.server
import json
import os
import pathlib
import pty
import re
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import time

from local_stack import BUILT, PASSWORD, free_port, local_stack

TENURE = BUILT / "tenure"
ADMIN, ADMIN_PASSWORD = "admin@localhost", "local-admin-password"
OBEYED = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
# The resident size of one run may not grow with the account.
MOST_MEMORY_KIB = 32 * 1024


class Cli:
    """Runs the command line, with a home directory of its own."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.environment = {"HOME": str(home), "PATH": os.environ["PATH"]}
        self.profile = self.home / ".config/tenure/default.json"

    def run(self, *arguments, code=0, text=None):
        """Runs a command and asserts its exit code, and that it prints no control characters and no secrets."""
        ran = subprocess.run([TENURE, *arguments], input=text or "", capture_output=True, text=True, env=self.environment, timeout=300)
        where = f"tenure {' '.join(arguments)}: {ran.stdout}{ran.stderr}"
        assert ran.returncode == code, f"ends with {ran.returncode} instead of {code}: {where}"
        assert not OBEYED.search(ran.stdout + ran.stderr), f"prints control characters: {where!r}"
        assert "vbs_" not in ran.stdout + ran.stderr and PASSWORD not in ran.stdout + ran.stderr, f"prints a secret: {where}"
        return ran

    def out(self, *arguments, **options):
        return self.run(*arguments, **options).stdout

    def json(self, *arguments, **options):
        return json.loads(self.out("--json", *arguments, **options))

    def rows(self, *arguments):
        return [json.loads(line) for line in self.out("--json", *arguments).splitlines()]

    def at_a_terminal(self, *arguments, answers):
        """Runs a command in a terminal, and types these answers; returns what the terminal shows, and the exit code."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(TENURE, [str(TENURE), *arguments], self.environment)
        seen = b""
        for question, answer in answers:
            while question not in seen.decode(errors="replace"):
                seen += os.read(terminal, 4096)
            time.sleep(0.2)
            os.write(terminal, f"{answer}\n".encode())
        with contextlib.suppress(OSError):
            while chunk := os.read(terminal, 4096):
                seen += chunk
        return seen.decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def check_login(cli, url):
    assert "tenure login" in cli.run("due", code=3).stderr
    assert "wrong" in cli.run("login", "--url", url, code=3, text=f"{ADMIN}\nno\n").stderr
    assert not cli.profile.exists()
    said = cli.json("login", "--url", url, text=f"{ADMIN}\n{ADMIN_PASSWORD}\n")
    assert said["url"] == url and said["tm_expire"], said
    assert (mode(cli.profile), mode(cli.profile.parent)) == (0o600, 0o700)

    os.chmod(cli.profile, 0o644)
    assert "chmod 600" in cli.run("due", code=2).stderr
    questions = [("User name: ", ADMIN), ("Password: ", ADMIN_PASSWORD)]
    seen, code = cli.at_a_terminal("login", "--url", url, answers=questions)
    assert code == 0 and ADMIN_PASSWORD not in seen, (code, seen)
    assert mode(cli.profile) == 0o600
    cli.run("login", text=f"{ADMIN}\n{ADMIN_PASSWORD}\n")
    assert "https" in cli.run("login", "--url", "http://example.com", code=2).stderr


def create(cli, username, **fields):
    return cli.json("customers", "create", text=json.dumps({"username": username, "password": PASSWORD, **fields}))["id"]


def expect(answer):
    status, body = answer
    assert status == 200, (status, body)
    return body


def token_of(api, username, password=PASSWORD):
    return expect(api.send("POST", "/auth/login", None, {"username": username, "password": password}))["token"]


def check_accounts(cli, api, operator):
    later, sooner = (create(cli, name, name=f"{name}\n Ltd", email=f"{name}@example.com") for name in ("later", "sooner"))
    assert "USERNAME_TAKEN" in cli.run("customers", "create", code=1, text=json.dumps({"username": "later", "password": PASSWORD})).stderr
    assert "request " in cli.run("customers", "show", "0" * 8 + later[8:], code=1).stderr
    expect(api.send("POST", f"/v1.0/customers/{sooner}/freeze", operator))
    expect(api.send("POST", "/_local/clock", None, {"advance_seconds": 3600}))
    expect(api.send("POST", f"/v1.0/customers/{later}/freeze", operator))

    assert [row["id"] for row in cli.rows("due")] == [sooner, later]
    lines = cli.out("due").splitlines()
    assert lines[0].split() == ["ID", "DUE", "NAME"] and lines[1].startswith(sooner) and "sooner\\n Ltd" in lines[1], lines
    assert [row["id"] for row in cli.rows("due", "--limit", "1")] == [sooner]
    assert "--all" in cli.run("due", "--limit", "1").stderr
    assert {later, sooner} <= {row["id"] for row in cli.rows("customers", "list", "--all")}
    found = cli.run("--json", "customers", "list", "--by", "email", text="later@example.com\n").stdout
    assert json.loads(found)["id"] == later
    assert f"{later}  " in cli.out("customers", "list", "--status", "frozen")
    assert "later@example.com (not verified)" in cli.out("customers", "show", later)
    assert cli.json("customers", "show", later)["overview"]["stage"] == "scheduled"
    assert "due at" in cli.run("watch", later, "--timeout", str(2 ** 64 - 1), code=7).stderr


def add_items(api, username, count):
    """Creates `count` numbers, each by a request, on 8 persistent connections."""
    token, per_thread = token_of(api, username), threading.local()

    def add(number):
        if not hasattr(per_thread, "connection"):
            per_thread.connection = http.client.HTTPConnection(api.url.removeprefix("http://"))
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        per_thread.connection.request("POST", "/v1.0/numbers", json.dumps({"name": str(number)}), headers)
        answer = per_thread.connection.getresponse()
        body = answer.read()
        # Concurrent changes of one account conflict: 503 means to try again.
        return answer.status == 200 or (answer.status == 503 and add(number)) or sys.exit(body)

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(add, range(count)))


def check_erasure(cli, api, home, items):
    leaving = create(cli, "leaving", name="Leaving Ltd")
    add_items(api, "leaving", items)
    assert cli.json("plan", leaving)["resources"]["numbers"] == items
    outdated = cli.json("plan", leaving)["digest"]

    assert "held" in cli.out("hold", "set", leaving, "--name", "case-7", "--reason", "Case 7")
    assert "case-7" in cli.out("hold", "list", leaving) and cli.rows("hold", "list", leaving)[0]["name"] == "case-7"
    assert "LEGAL_HOLD" in cli.out("plan", leaving, code=0) + cli.run("plan", leaving).stderr
    cli.run("hold", "lift", leaving, "--name", "case-7")
    add_items(api, "leaving", 1)
    changed = cli.run("delete", leaving, "--plan", outdated, code=4).stderr
    assert f"numbers: {items} planned, {items + 1} now" in changed and "PLAN_OUTDATED" in changed, changed
    assert cli.json("customers", "show", leaving)["customer"]["status"] == "initial"
    cli.run("delete", leaving, code=2)

    assert f"{items + 1}" in cli.out("plan", leaving, "--fields")
    expect(api.send("POST", "/_local/stats/reset"))
    started = time.monotonic()
    assert cli.json("delete", leaving, "--plan", cli.json("plan", leaving)["digest"])["status"] == "deleted"
    receipt = home / "receipt.jws"
    memory, claims = measured(cli, "--json", "watch", leaving, "--receipt", str(receipt))
    took = time.monotonic() - started
    asked = api.send("GET", "/_local/stats")[1]["functions"]["ErasureGetFunction"]["invocations"]
    assert claims["sub"] == leaving and claims["counts"]["numbers"] == items + 1 and claims["final"], claims
    assert asked <= 2 * took + 2, f"{asked} requests in {took:.0f} s"
    assert memory < MOST_MEMORY_KIB, f"{memory} KiB"
    print(f"watched an erasure of {items + 1} items: {took:.1f} s, {asked} requests, {memory / 1024:.0f} MiB")
    assert cli.json("watch", leaving) == claims
    assert [row["type"] for row in cli.rows("events", leaving, "--type", "customer_deleted")] == ["customer_deleted"]
    assert "number_deleted" in cli.out("events", leaving) and len(cli.rows("events", leaving, "--limit", "3")) == 3
    return receipt, claims


def measured(cli, *arguments):
    """Runs a command; returns its peak resident memory, in KiB, and the JSON that it prints."""
    # `wait4` would count the memory that this process had when it started the command.
    process = subprocess.Popen([TENURE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=cli.environment)
    status, memory = pathlib.Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        # An ended process has no memory.
        peak = re.search(r"VmHWM:\s+(\d+)", status.read_text())
        memory = max(memory, int(peak[1]) if peak else 0)
        time.sleep(0.005)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    return memory, json.loads(printed)


def check_receipt(cli, home, url, receipt, claims):
    keys = home / "keys.json"
    keys.write_text(cli.out("keys"))
    nowhere = Cli(home / "nobody")
    assert nowhere.json("verify", str(receipt), "--keys", str(keys)) == claims
    assert nowhere.json("verify", "--url", url, text=receipt.read_text()) == claims
    assert "genuine" in nowhere.out("verify", str(receipt), "--keys", str(keys))
    text = receipt.read_text().strip()
    for place in range(0, len(text), len(text) // 40):
        changed = text[:place] + chr(ord(text[place]) ^ 1) + text[place + 1:]
        assert "NOT GENUINE" in nowhere.run("verify", "--keys", str(keys), code=6, text=changed).stderr
    nowhere.run("verify", str(receipt), code=2)
    nowhere.run("verify", str(home / "missing"), "--keys", str(keys), code=2)
    nowhere.run("verify", str(receipt), "--keys", str(receipt), code=2)
    nowhere.run("verify", str(receipt), "--url", f"http://127.0.0.1:{free_port()}", code=5)


def check_participants(cli, api, operator, home):
    expect(api.send("PUT", "/v1.0/participants/carrier", operator, {"required": True}))
    shared = create(cli, "shared")
    cli.run("delete", shared, "--plan", cli.json("plan", shared)["digest"])
    started = time.monotonic()
    waiting = cli.run("watch", shared, "--timeout", "3", code=7).stderr
    assert "carrier: asked" in waiting and "goes on" in waiting, waiting
    assert time.monotonic() - started >= 3, "ends before its time is up"
    answer = {"status": "completed", "found": 3, "deleted": 2, "retained": [{"kind": "invoices", "count": 1, "ground": "§ 147 AO"}]}
    expect(api.send("PUT", f"/v1.0/erasures/{shared}/acknowledgements/carrier", operator, answer))
    stated = cli.out("watch", shared, "--receipt", str(home / "final.jws"))
    assert "carrier: completed, 3 found, 2 deleted" in stated and "invoices" in stated and "1, final" in stated, stated
    first = expect(api.send("GET", f"/v1.0/customers/{shared}/erasure", operator))["receipts"][0]
    (home / "first.jws").write_text(first)
    keys = str(home / "keys.json")
    assert "Not final" in cli.run("verify", str(home / "first.jws"), "--keys", keys).stderr
    cli.run("verify", str(home / "final.jws"), "--keys", keys, "--supersedes", str(home / "first.jws"))
    cli.run("verify", str(home / "final.jws"), "--keys", keys, "--supersedes", str(home / "final.jws"), code=6)
    expect(api.send("DELETE", "/v1.0/participants/carrier", operator))


def check_webhooks(cli, api):
    broken = create(cli, "broken", name="Broken Ltd", webhook_uri=f"http://127.0.0.1:{free_port()}/")
    for _ in range(2):
        api.settle()
        expect(api.send("POST", "/_local/clock", None, {"advance_seconds": 120}))
    api.settle()
    assert [row["id"] for row in cli.rows("webhooks", "failing")] == [broken]
    assert "Broken Ltd" in cli.out("webhooks", "failing")
    (delivery,) = cli.rows("webhooks", "failing", broken)
    assert delivery["last_result"] == "unreachable", delivery
    assert delivery["id"] in cli.out("webhooks", "failing", broken)
    assert cli.json("webhooks", "resend", broken, delivery["id"])["status"] == "pending"
    assert "pending" in cli.out("webhooks", "resend", broken, delivery["id"])
    sent = cli.run("webhooks", "resend", broken, delivery["id"], broken, code=1)
    assert delivery["id"] in sent.stdout and "request " in sent.stderr, sent


def check_others(cli, url):
    for shell in ("bash", "zsh", "fish"):
        assert "tenure" in cli.out("completions", shell)
    documented = cli.out("--help")
    assert all(f"\n  {code}  " in documented for code in range(8)), documented
    head = subprocess.run(f"{TENURE} customers list --all | head -1", shell=True, capture_output=True, text=True, env=cli.environment)
    assert head.stdout.startswith("ID") and not head.stderr, head
    closed = cli.run("login", "--url", f"http://127.0.0.1:{free_port()}", code=5, text="a\nb\n").stderr
    assert "does not answer" in closed, closed
    cli.run("customers", "list", "--status", "gone", code=2)


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers with names that have control characters, after a first 503; and with answers that the API never gives."""

    protocol_version = "HTTP/1.1"
    seen = []
    NAME = "\x1b]0;owned\x07\x9b2J\u202e\r"

    def do_GET(self):
        Hostile.seen.append((time.monotonic(), self.path))
        if self.path.startswith("/v1.0/me"):
            return self.answer(200, {})
        if "/events" in self.path:
            return self.answer(200, {"result": [], "next_page_token": "again"})
        if "sort=due" in self.path:
            return self.answer(503, {"error": {"status": "S", "reason": "R", "message": self.NAME, "request_id": self.NAME}}, 3600)
        if len([path for _, path in Hostile.seen if "/customers" in path]) == 1:
            return self.answer(503, {"error": {"status": "S", "reason": "R", "message": "M", "request_id": "I"}}, 1)
        row = dict.fromkeys(["id", "name", "detail", "email", "webhook_uri", "status", "tm_create"], self.NAME)
        return self.answer(200, {"result": [{**row, "email_verified": True}], "next_page_token": ""})

    do_POST = do_GET

    def answer(self, status, body, retry_after=None):
        # JSON allows control characters above 0x7f unescaped.
        sent = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        if retry_after:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


def served(handler, tls=None):
    """Starts a server in a thread of its own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


CERTIFICATE = """
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost
"""


def check_tls(home):
    """Checks that the command line sends its token only to a server whose certificate the system trusts."""
    config, certificate, key = (home / name for name in ("tls.conf", "tls.pem", "tls.key"))
    config.write_text(CERTIFICATE)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-config", config, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = served(Hostile, tls)
    cli, login = Cli(home / "tls"), ["login", "--access-key", "--url", f"https://localhost:{server.server_port}"]
    Hostile.seen.clear()
    refused = cli.run(*login, code=5, text="vb_key\n").stderr
    assert "certificate" in refused and not Hostile.seen, refused
    cli.environment["SSL_CERT_FILE"] = str(certificate)
    cli.run(*login, text="vb_key\n")
    assert [path for _, path in Hostile.seen] == ["/v1.0/me"]
    server.shutdown()


def check_hostile(home):
    server = served(Hostile)
    cli = Cli(home / "hostile")
    Hostile.seen.clear()
    cli.run("login", "--access-key", "--url", f"http://127.0.0.1:{server.server_port}", text="vb_key\n")
    assert "\\u{1b}]0;owned" in cli.out("customers", "list")
    attempts = [when for when, path in Hostile.seen if "/customers" in path]
    assert len(attempts) == 2 and attempts[1] - attempts[0] >= 1, attempts
    assert cli.rows("customers", "list")[0]["name"] == Hostile.NAME
    cli.run("due", code=5)
    cli.run("verify", "--url", f"http://127.0.0.1:{server.server_port}", code=5)
    assert "does not end" in cli.run("events", "5e4a0680-804e-11ec-8477-2fea5968d85b", code=5).stderr
    server.shutdown()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--items", type=int, default=300)
    items = arguments.parse_args().items
    stack = local_stack(lambda name: f"exec {BUILT / name}", free_port(), "WebhookAllowLoopback=true")
    with tempfile.TemporaryDirectory() as directory, stack as api:
        home = pathlib.Path(directory)
        cli = Cli(home)
        check_login(cli, api.url)
        operator = token_of(api, ADMIN, ADMIN_PASSWORD)
        check_accounts(cli, api, operator)
        receipt, claims = check_erasure(cli, api, home, items)
        check_receipt(cli, home, api.url, receipt, claims)
        check_participants(cli, api, operator, home)
        check_webhooks(cli, api)
        check_others(cli, api.url)
        check_hostile(home)
        check_tls(home)
        token = json.loads(cli.profile.read_text())["token"]
        cli.run("logout")
        assert not cli.profile.exists() and api.send("GET", "/v1.0/me", token)[0] == 401
        cli.run("logout", code=3)
    print("the command line does what it says")


main()
