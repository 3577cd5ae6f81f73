"""Checks receipts with a JOSE library that is not ours, through verify_receipt.py.

    pip install --require-hashes -r infra/requirements/checks.txt
    python3 infra/check_receipts.py target/tmp   # the receipt that `cargo test` leaves there
    python3 infra/check_receipts.py              # one of an account that the local stack has erased

The receipt must be genuine, and must not be with any byte changed or with another key. That a receipt supersedes
another is checked with receipts that are signed here.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from verify_receipt import ISSUER, TYPE, NotGenuine, claims_of

ROOT = pathlib.Path(__file__).resolve().parent.parent
STACK = ["cargo", "local", "--in-memory", "--port", "0"]


def call(url, body=None, token=None):
    """Sends a GET, or a POST if there is a body; returns the JSON of the answer."""
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers)) as answer:
        return json.load(answer)


def of_an_erased_account():
    """Erases an account on a local stack; returns its receipt, and the keys that the stack publishes."""
    stack = subprocess.Popen(STACK, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        api = stack.stdout.readline().removeprefix("listening on ").strip()
        account = {"username": "leaving", "password": "correct horse battery staple"}
        admin = {"username": "admin@localhost", "password": "local-admin-password"}
        admin = call(f"{api}/auth/login", admin)["token"]
        customer = call(f"{api}/v1.0/customers", {**account, "name": "Leaving"}, admin)["id"]
        token = call(f"{api}/auth/login", account)["token"]
        at_once = {"password": account["password"], "confirmation_phrase": "DELETE", "immediate": True}
        call(f"{api}/auth/unregister", at_once, token)
        call(f"{api}/_local/settle", {})
        ledger = call(f"{api}/v1.0/customers/{customer}/erasure", token=admin)
        return ledger["receipt"], call(f"{api}/v1.0/erasure-keys")
    finally:
        stack.terminate()
        stack.wait()


def is_genuine(receipt, keys):
    try:
        claims_of(receipt, keys)
    except NotGenuine:
        return False
    return True


def check(receipt, published):
    keys = KeySet.import_key_set(published)
    claims = claims_of(receipt, keys)
    assert sum(claims["counts"].values()) > 0, claims
    # There are no participants, so the first receipt is final.
    assert (claims["round"], claims["final"], claims["supersedes"]) == (1, True, None), claims
    assert claims["covers"] == {"tables": ["accounts", "outbox", "ledger"], "participants": []}, claims
    assert claims["retained"] == [] and claims["not_covered"]["backups_until"] > claims["tm_finish"], claims
    for key in keys.keys:
        assert key.thumbprint() == key.kid, "a key's id is its thumbprint"

    for place in range(len(receipt)):
        changed = receipt[:place] + chr(ord(receipt[place]) ^ 1) + receipt[place + 1 :]
        assert not is_genuine(changed, keys), f"byte {place} makes no difference"
    parts = receipt.split(".")
    for fewer in (parts[:2], [parts[0], "", parts[2]], parts + [""]):
        assert not is_genuine(".".join(fewer), keys), fewer

    # Another key, under an id of its own and under the id of the key that signed.
    other = ECKey.generate_key("P-256").as_dict(private=False)
    for kid in ("other", published["keys"][0]["kid"]):
        stranger = KeySet.import_key_set({"keys": [{**other, "kid": kid}]})
        assert not is_genuine(receipt, stranger), "another key takes it"
    check_what_is_signed()
    check_what_is_superseded()
    check_program(receipt, published)


def check_what_is_signed():
    """Checks that a correctly signed token of another type or issuer is not accepted as a receipt."""
    key = ECKey.generate_key("P-256", {"kid": "ours"})
    for typ, issuer, genuine in ((TYPE, ISSUER, True), ("JWT", ISSUER, False), (TYPE, "other", False)):
        header = {"alg": "ES256", "typ": typ, "kid": "ours"}
        token = jwt.encode(header, {"iss": issuer}, key)
        assert is_genuine(token, KeySet([key])) == genuine, (typ, issuer)


def check_what_is_superseded():
    """Checks that verify_receipt.py accepts as superseded only the receipt that the later one names."""
    key = ECKey.generate_key("P-256", {"kid": "ours"})
    header = {"alg": "ES256", "typ": TYPE, "kid": "ours"}
    first = jwt.encode(header, {"iss": ISSUER, "final": False}, key)
    digest = hashlib.sha256(first.encode()).hexdigest()
    second = jwt.encode(header, {"iss": ISSUER, "final": True, "supersedes": digest}, key)
    published = {"keys": [key.as_dict(private=False)]}
    assert "Not final" in run_program(published, 0, first).stderr
    assert "Not final" not in run_program(published, 0, second, first).stderr
    run_program(published, 1, first, second)
    run_program(published, 1, second, second)
    run_program(published, 1, second, first[:-1] + ("A" if first[-1] != "A" else "B"))


def check_program(receipt, published):
    """Checks that verify_receipt.py says by its exit code and its output whether a receipt is genuine."""
    assert json.loads(run_program(published, 0, receipt + "\n").stdout)["iss"] == ISSUER
    run_program(published, 1, receipt[::-1])


def run_program(published, code, receipt, *superseded):
    """Runs verify_receipt.py, asserts that it exits with `code`, and returns the completed process."""
    with tempfile.TemporaryDirectory() as directory:
        keys, *receipts = (pathlib.Path(directory, str(place)) for place in range(2 + len(superseded)))
        keys.write_text(json.dumps(published))
        for path, text in zip(receipts, (receipt, *superseded)):
            path.write_text(text)
        program = [sys.executable, ROOT / "infra/verify_receipt.py", receipts[0], keys, *receipts[1:]]
        run = subprocess.run(program, capture_output=True, text=True, check=False)
    assert run.returncode == code, run
    assert ("NOT GENUINE" in run.stderr) == (code == 1), run
    return run


if len(sys.argv) > 1:
    left = pathlib.Path(sys.argv[1])
    check((left / "receipt.jws").read_text(), json.loads((left / "erasure-keys.json").read_text()))
else:
    check(*of_an_erased_account())
print("the receipt is genuine, and no changed one is")
