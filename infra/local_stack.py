"""Helpers of scripts: start the local stack with a given shell command for each function, and call its API."""

import contextlib
import http.server
import json
import pathlib
import subprocess
import tempfile
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILT = ROOT / "target/debug"
PASSWORD = "correct horse battery staple"


def functions():
    """Returns the names of all functions' programs."""
    return sorted(source.stem for source in (ROOT / "functions/src/bin").glob("*.rs"))


@contextlib.contextmanager
def local_stack(command, port, *parameters):
    """Starts the stack on `port`, and yields its API. Each function is started by the shell command that `command`
    returns for its name; `parameters` are those of the template, as NAME=VALUE."""
    with tempfile.TemporaryDirectory() as binaries, tempfile.TemporaryFile("w+") as log:
        for name in functions():
            script = pathlib.Path(binaries, name)
            script.write_text(f"#!/bin/sh\n{command(name)}\n")
            script.chmod(0o755)
        arguments = ["--in-memory", "--port", str(port), "--binaries", binaries, "--parameter", "RequestsPerMinute=1000000"]
        arguments += [argument for parameter in parameters for argument in ("--parameter", parameter)]
        stack = subprocess.Popen([BUILT / "local", *arguments], stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            url = next((line.split()[-1] for line in stack.stdout if line.startswith("listening on ")), None)
            if url is None:
                log.seek(0)
                raise SystemExit("the local stack does not start: " + log.read()[-2000:])
            yield Api(url)
        finally:
            stack.terminate()
            stack.wait()


def free_port():
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.server_close()
    return server.server_port


class Api:
    def __init__(self, url):
        self.url = url

    def send(self, method, path, token=None, body=None, **headers):
        """Sends a request; returns the status and the body of the answer."""
        request = urllib.request.Request(self.url + path, None if body is None else json.dumps(body).encode(), method=method)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")

    def ok(self, method, path, body=None, token=None):
        """Sends a request, asserts that the status is 200, and returns the body of the answer."""
        status, answered = self.send(method, path, token, body)
        assert status == 200, (method, path, body, status, answered)
        return answered

    def settle(self):
        self.send("POST", "/_local/settle")
