"""Sends a deployed API four requests that need no account. Fails if an answer is not as expected.

    python3 infra/smoke_test.py https://api.example.com
"""

import json
import sys
import time
import urllib.error
import urllib.request

# Requests: method, path, body; the expected status, and the reason or key expected in the answer's body.
QUESTIONS = [
    ("GET", "/ping", None, 200, "message"),
    ("GET", "/no-such-route", None, 404, "ROUTE_NOT_FOUND"),
    ("POST", "/auth/login", {"username": "smoke-test@invalid", "password": "no such password"}, 401, "INVALID_CREDENTIALS"),
    ("GET", "/v1.0/erasure-keys", None, 200, "keys"),
]


def ask(base, method, path, body):
    """Sends a request; returns the answer's status and body, or status 0 and an error's text if there is no answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(base.rstrip("/") + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return error.code, {}
    except (OSError, ValueError) as error:
        return 0, {"error": {"reason": str(error)}}


def is_right(status, body, wanted_status, word):
    return status == wanted_status and (word in body or body.get("error", {}).get("reason") == word)


def main(base):
    failed = False
    for method, path, body, status, word in QUESTIONS:
        # A DNS record or a route may take a moment after the first deployment.
        for attempt in range(5):
            answered, answer = ask(base, method, path, body)
            if answered:
                break
            time.sleep(2**attempt)
        right = is_right(answered, answer, status, word)
        failed |= not right
        print(f"{'ok  ' if right else 'FAIL'} {method} {path}: {answered}" + ("" if right else f", wanted {status} with {word}: {answer}"))
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
