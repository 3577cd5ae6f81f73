"""Runs functions of ours on AWS's own Lambda runtime: `aws-lambda-rie`, which lies in aws-sam-cli.

    pip install --require-hashes -r infra/requirements/deploy.txt
    cargo test panics                  # builds the functions; leaves programs that misbehave in target/tmp
    python3 infra/check_runtime.py

Each case runs for a function behind the API and for one that takes events; of each there are a real program and one
that misbehaves as requested (tests/api/panics.rs). Unlike Lambda, AWS's emulator neither freezes a process between
calls nor enforces a memory size, so the shell limits the memory, and a kill by the kernel is simulated.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from lint_template import read

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES, PROGRAMS = ROOT / "target/debug", ROOT / "target/tmp"
ARCHITECTURE = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
OF_LAMBDA = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none"}
TIMEOUT = 2


def emulator():
    package = importlib.util.find_spec("samcli")
    if package is None:
        sys.exit("aws-sam-cli is not installed: pip install --require-hashes -r infra/requirements/deploy.txt")
    return pathlib.Path(package.origin).parent / f"local/rapid/aws-lambda-rie-{ARCHITECTURE}"


@functools.cache
def template_of_sam():
    return read(ROOT / "template.yaml")


def variables(binary):
    """Returns the environment variables that the template sets for a function, with the defaults of parameters; other
    references become the variable's name in lower case."""
    template = template_of_sam()
    properties = next(
        one["Properties"]
        for one in template["Resources"].values()
        if one.get("Metadata", {}).get("BuildProperties", {}).get("Binary") == binary
    )
    own = properties.get("Environment", {}).get("Variables", {})
    declared = template["Globals"]["Function"]["Environment"]["Variables"] | own

    def value(name, of):
        if isinstance(of, dict):
            # Conditions are evaluated as false.
            of = of["Fn::If"][2] if "Fn::If" in of else of
            of = template["Parameters"].get(of.get("Ref"), {}).get("Default", name.lower())
        return str(of)

    left_out = {"Ref": "AWS::NoValue"}
    conditional = {name for name, of in declared.items() if isinstance(of, dict) and of.get("Fn::If", [0, 0, 0])[2] == left_out}
    return {name: value(name, of) for name, of in declared.items() if name not in conditional}


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def until(check, seconds=10):
    """Calls `check` until its result is true, and returns that; `None` if it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.02)
    return None


def silent_table():
    """Opens a socket in place of DynamoDB that accepts connections and never answers; returns it and its URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


class Function:
    """A function's program, run by Lambda's runtime. `kilobytes` limits its address space."""

    def __init__(self, program, environment, kilobytes="unlimited"):
        self.directory = tempfile.TemporaryDirectory()
        bootstrap = pathlib.Path(self.directory.name, "bootstrap")
        bootstrap.write_text(f"#!/bin/sh\nulimit -c 0\nulimit -v {kilobytes}\nexec '{program}'\n")
        bootstrap.chmod(0o755)
        self.output = open(pathlib.Path(self.directory.name, "log"), "w+")
        self.port, runtime_api = free_ports(2)
        command = [emulator(), f"--runtime-interface-emulator-address=127.0.0.1:{self.port}"]
        command += [f"--runtime-api-address=127.0.0.1:{runtime_api}", bootstrap]
        environment = {"PATH": os.environ["PATH"], "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT), **OF_LAMBDA, **environment}
        self.runtime = subprocess.Popen(command, env=environment, stdout=self.output, stderr=self.output)
        if not until(self.listens):
            raise RuntimeError(f"the emulator does not start: {self.log()}")

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        process = self.process()
        self.runtime.kill()
        if process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.runtime.wait()
        self.output.close()
        self.directory.cleanup()

    def invoke(self, event):
        """Invokes the function; returns the status and the text that the runtime answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/2015-03-31/functions/function/invocations", json.dumps(event).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def process(self):
        """Process id of the function; `None` if it has none now."""
        children = pathlib.Path(f"/proc/{self.runtime.pid}/task").glob("*/children")
        with contextlib.suppress(OSError):
            found = [int(child) for file in children for child in file.read_text().split()]
            return next((child for child in found if not is_dead(child)), None)

    def log(self):
        return pathlib.Path(self.directory.name, "log").read_text()

    def starts(self):
        """How often the runtime has started the function."""
        return len(re.findall(r"Starting runtime", self.log()))


def is_dead(process):
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def request(route, query=""):
    """A request as the gateway passes it on, in its format 2.0."""
    method, path = route.split()
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "check"}
    context = {"accountId": "1", "apiId": "api", "domainName": "api.example.com", "domainPrefix": "api", "http": http}
    context |= {"requestId": "request-1", "routeKey": route, "stage": "$default"}
    context |= {"time": "30/Nov/2026:10:00:00 +0000", "timeEpoch": 1796032800000}
    event = {"version": "2.0", "routeKey": route, "rawPath": path, "rawQueryString": query, "headers": {"host": "api.example.com"}}
    event |= {"queryStringParameters": dict(pair.split("=") for pair in query.split("&") if pair)}
    return event | {"requestContext": context, "isBase64Encoded": False}


class Cases:
    """Test cases for both kinds of functions. A subclass names the programs, and says what right answers are."""

    @classmethod
    def setUpClass(cls):
        cls.variables = variables(cls.BINARY)
        missing = [path for path in (BINARIES / cls.BINARY, PROGRAMS / cls.PROGRAM) if not path.exists()]
        if missing:
            raise RuntimeError(f"run `cargo test panics` first, which makes {missing[0]}")

    def real(self, **more):
        return Function(BINARIES / self.BINARY, self.variables | more)

    def misbehaving(self, **options):
        return Function(PROGRAMS / self.PROGRAM, {}, **options)

    def assert_restarted(self, function, before):
        """Asserts that the next call is answered, by a process that the runtime has started for it."""
        starts = function.starts()
        self.assert_answers(function)
        self.assertEqual(function.starts(), starts + 1, function.log())
        self.assertNotEqual(function.process(), before)

    def test_init_and_a_warm_call_are_one_process(self):
        with self.real() as function:
            self.assert_real_answers(function)
            process = function.process()
            self.assertIsNotNone(process)
            self.assert_real_answers(function)
            self.assertEqual((function.process(), function.starts()), (process, 1))
            self.assertIn("INIT RTDONE(status: success)", function.log())

    def test_a_failed_start_says_what_is_missing_and_is_tried_at_each_call(self):
        without = {name: value for name, value in self.variables.items() if name != "ACCOUNTS_TABLE"}
        with Function(BINARIES / self.BINARY, without) as function:
            for starts in (1, 2):
                status, _ = function.invoke(self.REAL)
                self.assertEqual((status, function.starts()), (502, starts))
            self.assertIn('"message":"cannot start","cause":"environment variable ACCOUNTS_TABLE', function.log())
            self.assertIn("Runtime.ExitError", function.log())

    def test_a_call_that_blocks_is_timed_out_and_the_next_is_answered(self):
        with self.misbehaving() as function:
            self.assert_answers(function)
            before = function.process()
            self.assertEqual(function.invoke(request("GET /block")), (200, f"Task timed out after {TIMEOUT}.00 seconds"))
            self.assert_restarted(function, before)

    def test_memory_that_is_not_given_ends_the_process_and_the_next_call_is_answered(self):
        with self.misbehaving(kilobytes=2 << 20) as function:
            self.assert_answers(function)
            before = function.process()
            self.assert_exited(function.invoke(request("GET /allocate")), function, "aborted")
            self.assertIn("memory allocation of", function.log())
            self.assert_restarted(function, before)

    def test_a_process_that_the_kernel_kills_during_a_call_fails_it_and_the_next_is_answered(self):
        with self.misbehaving() as function:
            self.assert_answers(function)
            before = function.process()
            killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -KILL {before}"])
            self.assert_exited(function.invoke(request("GET /block")), function, "killed")
            killer.wait()
            self.assert_restarted(function, before)

    def test_sigterm_ends_an_idle_process_at_once_and_the_next_call_is_answered(self):
        with self.real() as function:
            self.assert_real_answers(function)
            before = function.process()
            os.kill(before, signal.SIGTERM)
            self.assertTrue(until(lambda: is_dead(before), 1), "it goes on")
            # As on Lambda, the first call after the process has ended may fail.
            function.invoke(self.REAL)
            self.assert_real_answers(function)
            self.assertNotEqual(function.process(), before)

    def test_a_shutdown_leaves_no_process(self):
        with self.real() as function:
            self.assert_real_answers(function)
            process = function.process()
            function.runtime.terminate()
            self.assertEqual(function.runtime.wait(5), 0)
            self.assertTrue(until(lambda: is_dead(process), 1), "it goes on")

    def assert_exited(self, answer, function, how):
        status, _ = answer
        self.assertEqual(status, 502, function.log())
        self.assertRegex(function.log(), f"Process runtime-1 exited: signal: {how}")
        self.assertIn("Runtime.ExitError", function.log())


class RequestFunction(Cases, unittest.TestCase):
    """A function behind the API"""

    BINARY, PROGRAM = "customer_list", "request_function"
    REAL = request("GET /v1.0/customers")

    def assert_real_answers(self, function):
        self.assert_refused(function.invoke(self.REAL), 401, "AUTHENTICATION_REQUIRED")

    assert_answers = assert_real_answers

    def assert_refused(self, answer, status, reason):
        invoked, text = answer
        self.assertEqual(invoked, 200, text)
        reply = json.loads(text)
        error = json.loads(reply["body"])["error"]
        self.assertEqual((reply["statusCode"], error["reason"], error["request_id"]), (status, reason, "request-1"))

    def test_a_panic_is_answered_with_500_and_the_process_begins_anew_without_a_restart(self):
        with self.misbehaving() as function:
            self.assert_answers(function)
            process = function.process()
            for _ in range(5):
                self.assert_refused(function.invoke(request("GET /v1.0/customers", "token=canary")), 500, "INTERNAL")
                self.assert_answers(function)
            self.assertEqual((function.process(), function.starts()), (process, 1), function.log())
            self.assertNotIn("ExitError", function.log())
            self.assertNotIn("may hold anything", function.log())

    def test_a_table_that_does_not_answer_is_answered_with_503_before_the_timeout(self):
        listener, endpoint = silent_table()
        login = request("POST /auth/login") | {"body": json.dumps({"username": "ann", "password": "a long password"})}
        login["headers"]["content-type"] = "application/json"
        with listener, Function(BINARIES / "auth_login", variables("auth_login") | {"AWS_ENDPOINT_URL_DYNAMODB": endpoint}) as function:
            self.assert_refused(function.invoke(login), 503, "SERVICE_UNAVAILABLE")
            self.assertNotIn("timed out", function.log())
            self.assertEqual(function.starts(), 1)


class EventFunction(Cases, unittest.TestCase):
    """A function that takes events"""

    BINARY, PROGRAM = "erasure_replay", "event_function"
    # A month in which nothing has finished yet: no table is asked.
    REAL = {"from": "9999-12"}

    def assert_real_answers(self, function):
        status, text = function.invoke(self.REAL)
        self.assertEqual((status, json.loads(text)["checked"]), (200, 0), text)

    def assert_answers(self, function):
        event = {"routeKey": "GET /"}
        status, text = function.invoke(event)
        self.assertEqual((status, json.loads(text)), (200, event), text)

    def test_an_error_has_its_reason_as_type_and_the_process_stays(self):
        with self.real() as function:
            self.assert_real_answers(function)
            process = function.process()
            _, text = function.invoke({"from": "x"})
            error = json.loads(text)
            self.assertEqual(error["errorType"], "INVALID_ARGUMENT", text)
            self.assertIn("2026-11", error["errorMessage"])
            self.assert_real_answers(function)
            self.assertEqual((function.process(), function.starts()), (process, 1))

    def test_a_panic_fails_the_call_and_the_next_is_answered_by_another_process(self):
        with self.misbehaving() as function:
            self.assert_answers(function)
            before = function.process()
            self.assert_exited(function.invoke({}), function, "aborted")
            self.assertNotIn("may hold anything", function.log())
            self.assert_restarted(function, before)

    def test_a_table_that_does_not_answer_fails_the_call(self):
        listener, endpoint = silent_table()
        with listener, self.real(AWS_ENDPOINT_URL_DYNAMODB=endpoint) as function:
            self.assertIn("Task timed out", function.invoke({"from": "2026-11"})[1])
            self.assert_real_answers(function)


if __name__ == "__main__":
    print(f"{emulator().name} of aws-sam-cli {importlib.metadata.version('aws-sam-cli')}", file=sys.stderr)
    unittest.main(verbosity=2)
