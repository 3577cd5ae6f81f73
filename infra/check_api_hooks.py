"""Hooks that teach Schemathesis what the description does not say of this API. Loaded by check_api.py."""

import atexit
import collections
import json
import os
import re
import string
import time
import uuid

import requests
import schemathesis
from hypothesis import strategies as st

API = os.environ["TENURE_API"]
# Ids of objects that the caller needs: they are read, but neither changed nor deleted.
OWN = set(filter(None, os.environ.get("TENURE_OWN", "").split(",")))
# The operator's token, if every call gets a new account of its own, since most calls end it.
OPERATOR = os.environ.get("TENURE_OPERATOR")
# The token by which an object is created for each call, if each call gets a new one.
OWNER = os.environ.get("TENURE_OWNER")
# The operator's token, if each call gets a mailed link of its own: by it, accounts are created.
INVITER = os.environ.get("TENURE_INVITER")
# The password of the caller, if it is a person.
OWN_PASSWORD = os.environ.get("TENURE_PASSWORD")

# ---------------------------------------------------------------- values

WORD = st.text(string.ascii_lowercase + string.digits, min_size=6, max_size=20)

for name, values in {
    "username": WORD.map(lambda word: f"u{word}"),
    "new-password": st.text(string.printable[:94], min_size=8, max_size=64),
    "email-or-none": st.one_of(st.sampled_from(["", "[email protected]"]), WORD.map(lambda word: f"{word}@example.com")),
    "webhook-uri": st.one_of(st.just(""), WORD.map(lambda word: f"https://example.com/{word}?a=b")),
    "entity-tags": st.sampled_from(["*", '"x"', 'W/"x", "y"', f'"{32 * "0"}"']),
    # Only the API makes these; the run follows links to have them.
    "page-token": st.just(""),
    "plan-digest": st.just("0"),
}.items():
    schemathesis.openapi.format(name, values)

# ---------------------------------------------------------------- rules that a schema cannot say

SAID_IN_WORDS = {
    "username": "one script, what RFC 8265 allows, bytes and not characters",
    "email": "what is an address",
    "webhook_uri": "what is a public host",
    "password": "which are common; whether it is asked for depends on the caller",
    "name": "where a script needs a zero-width character",
    "current_password": "whether it is asked for depends on the caller",
    "keys": "it is for one's own password",
    "confirmation_phrase": "whether it is asked for depends on the caller",
    "data": "bytes as sent, depth",
    "page_token": "only an earlier page has one",
    "plan": "only a plan has one",
    "token": "only a mailed link has one",
    "retained": "bytes of all kinds and grounds",
    "required": "a participant needs it to register",
    "permission": "a key that is bound to a participant has none",
}
# The same for the query parameters of listCustomers.
ASKED_IN_WORDS = {
    "name": "what it can be combined with",
    "hold": "what it can be combined with",
    "suspended": "what it can be combined with",
    "webhooks": "what it can be combined with",
    "sort": "which status it needs",
    "deleted": "which statuses it can be combined with",
    "created_after": "no leap seconds",
    "created_before": "it is later than created_after",
}


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # The ledger of an erasure exists once the erasure is requested, and stays when it is done. Of a deleted account,
    # only the tombstone is shown.
    if failure.code in ("ST301", "ST302") and operation_of(case) == "getErasure":
        return False
    if failure.code == "ST301" and operation_of(case) == "getCustomer":
        return response.status_code == 200 and response.json()["status"] != "deleted"
    # A deleted participant can be registered again, and erasures that have begun still ask it.
    if failure.code == "ST301" and operation_of(case) in ("setParticipant", "listParticipantRequests"):
        return False
    # A line break of two characters counts as one: the text may be shorter than it looks.
    if failure.code == "ST201" and "\\r\\n" in json.dumps(case.body, default=str):
        return False
    if failure.code != "ST202" or response.status_code != 400:
        return True
    error = response.json()["error"]
    # A valid token comes only with a mailed link, so the generator has none.
    if error["reason"] == "TOKEN_INVALID":
        return False
    field = error.get("details", [{}])[0].get("field")
    if field in SAID_IN_WORDS or (operation_of(case) == "listCustomers" and field in ASKED_IN_WORDS):
        return False
    # Project admins own nothing and must name an account; the generator ignores `not`, and sends the id of zeros, too.
    named = (case.query or {}).get("customer_id")
    if field == "customer_id" and (named is None or uuid.UUID(named).int == 0):
        return False
    return True


# ---------------------------------------------------------------- answers


@schemathesis.check
def reason_conformance(context, response, case):
    """Checks that an error's reason is one of those that the description names for the operation and status."""
    if response.status_code < 400 or "error" not in response.json():
        return
    # A request with another method was sent to another route.
    if response.request.method != case.operation.method.upper():
        return
    document, described = case.operation.schema.raw_schema, case.operation.definition.raw["responses"]
    answer = described.get(str(response.status_code), {})
    if reference := answer.get("$ref"):
        answer = document["components"]["responses"][reference.rsplit("/", 1)[1]]
    reason = response.json()["error"]["reason"]
    assert reason in answer.get("x-reasons", ()), f"the reason {reason} is not described"


# ---------------------------------------------------------------- calls

# The password in the description's examples.
PASSWORD = "ee5f3d14-5ac6-11ed-808e-6f7d676a444b"
# User names and an address of the description's examples, which are unique: each call makes its own of them.
EXAMPLES = {"username": ["test1", "ann"], "email": ["mail@test-company.com"]}
made = 0
keys = set()


def call(method, path, token, **content):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.request(method, API + path, headers=headers, timeout=30, **content)
    answer.raise_for_status()
    return answer.json()


def new_session():
    """Creates an account; returns the token of its admin's session, or `None` if log-ins are limited at the moment."""
    global made
    made += 1
    username = f"leaver-{os.getpid()}-{made}"
    account = {"username": username, "password": PASSWORD}
    call("POST", "/v1.0/customers", OPERATOR, json=account)
    answer = requests.post(f"{API}/auth/login", json=account, timeout=30)
    if answer.status_code == 429:
        return None
    answer.raise_for_status()
    return answer.json()["token"]


def unregister(token):
    """Unregisters the session's account; returns its ticket."""
    headers = {"Authorization": f"Bearer {token}"}
    answer = requests.post(f"{API}/auth/unregister", headers=headers, json={"password": PASSWORD}, timeout=30)
    answer.raise_for_status()
    return answer.links["status"]["url"].rsplit("/", 1)[1]


# Objects of operations, by the end of the operation's id: the path and body that create one, and more path parameters.
THINGS = {
    "Resource": ("tags", {"name": "tag"}, {"kind": "tags"}),
    "AccessKey": ("accesskeys", {"expire": 86400}, {}),
    "Customer": ("customers", {}, {}),
    "PasswordLink": ("agents", {}, {}),
    "Agent": ("agents", {}, {}),
    "AgentPermission": ("agents", {}, {}),
    "Session": ("agents", {"password": PASSWORD}, {}),
    "Participant": ("participants", {"required": True}, {"name": "carrier"}),
    "ParticipantRequests": ("participants", {"required": True}, {"name": "carrier"}),
}


def new_thing(operation):
    """Creates an object for one call; returns the path parameters and query that name it."""
    path, body, parameters = next(thing for end, thing in THINGS.items() if operation.endswith(end))
    if path == "participants":
        # With a fixed name, since other runs may have registered the maximum number of participants.
        requests.put(f"{API}/v1.0/{path}/carrier", json=body, headers={"Authorization": f"Bearer {OWNER}"}, timeout=30)
        return parameters, {}
    if path == "customers":
        body = {"username": f"thing-{uuid.uuid4().hex}", "password": PASSWORD}
    if path == "agents":
        # An agent without a password is invited, for which the user name has to be an e-mail address.
        body = {**body, "username": f"{uuid.uuid4().hex}{'' if 'password' in body else '@example.com'}"}
    thing = call("POST", f"/v1.0/{path}", OWNER, json=body)["id"]
    if not operation.endswith("Session"):
        return {**parameters, "id": thing}, {}
    call("POST", "/auth/login", None, json=body)
    query = {"agent_id": thing}
    return {"id": call("GET", "/v1.0/sessions", OWNER, params=query)["result"][0]["id"]}, query


# Operations on the part of a participant in an erasure.
ANSWERS = ("acknowledgeErasure", "waiveParticipant")


def new_erasure():
    """Creates and deletes an account; returns the path parameters of a participant's part in its erasure."""
    account = {"username": f"erased-{uuid.uuid4().hex}", "password": PASSWORD}
    customer = call("POST", "/v1.0/customers", OWNER, json=account)["id"]
    call("DELETE", f"/v1.0/customers/{customer}", OWNER)
    for _ in range(100):
        erasure = call("GET", f"/v1.0/customers/{customer}/erasure", OWNER)
        if any(part["name"] == "carrier" for part in erasure["participants"]):
            return {"id": customer, "name": "carrier"}
        time.sleep(0.1)
    raise AssertionError(f"nobody is asked about {customer}: {erasure}")


def mailed_token():
    """Signs up with a new address; returns the token of the mailed link."""
    address = f"{uuid.uuid4().hex}@example.com"
    call("POST", "/auth/signup", None, json={"email": address, "accepted_tos": True})
    return token_mailed_to(address)


def invitation():
    """Creates an account whose admin is invited; returns the token of the mailed link."""
    address = f"{uuid.uuid4().hex}@example.com"
    call("POST", "/v1.0/customers", INVITER, json={"username": address})
    return token_mailed_to(address)


def leaving_link():
    """Creates an account; returns the token of a mailed link by which its owner unregisters it without logging in."""
    word = uuid.uuid4().hex
    address = f"{word}@example.com"
    account = {"username": f"u{word}", "password": PASSWORD, "email": address}
    customer = call("POST", "/v1.0/customers", INVITER, json=account)["id"]
    call("PUT", f"/v1.0/customers/{customer}/verification", INVITER, json={"email_verified": True})
    call("POST", "/auth/unregister-link", None, json={"email": address})
    # A link to verify the address is mailed, too.
    return token_mailed_to(address, "/account/unregister")


MAILED = {"resetPassword": invitation, "unregisterByLink": leaving_link}


def token_mailed_to(address, page=""):
    """Waits for a mail to `address` with a link to `page`, or to any page if it is empty; returns the link's token."""
    for _ in range(100):
        mail = requests.get(f"{API}/_local/mail", headers={"Accept": "application/json"}, timeout=30).json()["mail"]
        texts = (message["text"] for message in mail if message["to"] == [address])
        if tokens := [found[1] for text in texts if (found := re.search(rf"{page}#token=(\w+)", text))]:
            return tokens[0]
        time.sleep(0.1)
    raise AssertionError(f"no mail to {address}")


@schemathesis.hook
def before_call(context, case, kwargs):
    body = case.body
    # Each valid call by a person gets a new token, as a token works once, and only with a password creates an account.
    if OWN_PASSWORD and operation_of(case) == "verifyEmail" and case.meta.generation.mode.is_positive:
        case.body = body = {**body, "token": mailed_token()}
        body.setdefault("password", PASSWORD)
    if case.path.startswith("/v1.0/") and isinstance(body, dict):
        for field, examples in EXAMPLES.items():
            if body.get(field) in examples:
                case.body = body = {**body, field: f"{uuid.uuid4().hex}-{body[field]}"}
    if OWN_PASSWORD and isinstance(body, dict) and isinstance(body.get("current_password"), str):
        case.body = {**case.body, "current_password": OWN_PASSWORD}
    # Every request needs its own key: one with a key used before is replayed, even if it is invalid.
    if (key := case.headers.get("Idempotency-Key")) in keys:
        case.headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
    keys.add(key)
    parameters = case.path_parameters or {}
    if case.method.upper() != "GET" and parameters.get("id") in OWN:
        case.path_parameters["id"] = str(uuid.uuid4())
    if OWNER and operation_of(case) in ANSWERS and case.meta.generation.mode.is_positive:
        parameters = new_erasure()
        case.path_parameters = {name: parameters[name] for name in case.path_parameters}
        if "participant" in body:
            case.body = {**body, "participant": parameters["name"]}
        else:
            case.body = {field: value for field, value in body.items() if field != "round"}
    elif OWNER and case.meta.generation.mode.is_positive:
        # Other runs cover ids and entity tags of objects that do not exist.
        case.path_parameters, case.query = new_thing(operation_of(case))
        case.headers.pop("If-Match", None)
    if INVITER and case.meta.generation.mode.is_positive and (link := MAILED.get(operation_of(case))):
        case.body = {**case.body, "token": link()}
    if OPERATOR and (token := new_session()):
        headers = {"Authorization": f"Bearer {token}"}
        if operation_of(case) == "recover" and made % 2:
            unregister(token)
        if operation_of(case) == "getErasureStatus" and case.meta.generation.mode.is_positive:
            case.path_parameters["ticket"] = unregister(token)
        case.headers.update(headers)


# ---------------------------------------------------------------- counts

counts = collections.Counter()


def operation_of(case):
    return case.operation.definition.raw["operationId"]


@schemathesis.hook
def after_call(context, case, response):
    counts[f"{operation_of(case)} {response.status_code}"] += 1


@atexit.register
def write_counts():
    with open(os.environ["TENURE_COUNTS"], "w") as file:
        json.dump(counts, file)
