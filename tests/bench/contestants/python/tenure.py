"""What the functions have in common."""

import hashlib
import http.client
import json
import os
import secrets
import time
from datetime import datetime, timedelta, timezone

import boto3
from botocore.config import Config
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer

ACCOUNTS = os.environ["ACCOUNTS_TABLE"]
OUTBOX = os.environ["OUTBOX_TABLE"]
PROJECT_ADMIN = 1
ADMIN = 32

client = boto3.client("dynamodb", config=Config(retries={"mode": "standard"}))
_serialize = TypeSerializer().serialize
_deserialize = TypeDeserializer().deserialize


def to_item(attributes):
    return {name: _serialize(value) for name, value in attributes.items() if value is not None}


def from_item(item):
    return {name: _deserialize(value) for name, value in item.items()}


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def text(moment):
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def now():
    return datetime.now(timezone.utc)


def uuid7():
    number = int(time.time() * 1000) << 80 | secrets.randbits(80)
    number = number & ~(0xF << 76) | 7 << 76
    number = number & ~(0x3 << 62) | 2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def get(pk, sk):
    key = {"pk": {"S": pk}, "sk": {"S": sk}}
    found = client.get_item(TableName=ACCOUNTS, Key=key, ConsistentRead=True)
    return from_item(found["Item"]) if "Item" in found else None


def caller(event, permission):
    header = event["headers"].get("authorization", "")
    if not header.startswith("Bearer "):
        return None
    session = get(f"TOKEN#{sha256(header[7:])}", "L")
    if session and int(session["permission"]) & permission and session["tm_expire"] > text(now()):
        return session
    return None


SHOWN = (
    "id", "name", "detail", "email", "phone_number", "address", "webhook_method", "webhook_uri",
    "billing_account_id", "metadata", "email_verified", "status", "identity_verification_status",
    "tm_deletion_scheduled", "tm_create", "tm_update", "tm_delete",
)  # fmt: skip


def shown(customer):
    return {name: customer.get(name) for name in SHOWN}


def outbox_item(kind, customer, sequence):
    """The item of an event that has happened to an account itself."""
    event = uuid7()
    return {
        "id": event,
        "type": kind,
        "customer_id": customer["id"],
        "tm_event": customer["tm_update"],
        "status": customer["status"],
        "tm_deletion_scheduled": customer.get("tm_deletion_scheduled"),
        "sequence": sequence,
        "attempts": 0,
        "due_pk": f"PUBLISH#{int(event[-2:], 16) % 4}",
        "due_sk": f"{customer['tm_update']}#{event}",
        "expires_at": int(time.time()) + 7 * 86400,
    }


def put(table, attributes, key):
    condition = f"attribute_not_exists({key})"
    item = to_item(attributes)
    return {"Put": {"TableName": table, "Item": item, "ConditionExpression": condition}}


def throttle_key(username):
    return {"pk": {"S": f"THROTTLE#{sha256(username.lower())}"}, "sk": {"S": "T"}}


def _count(key, most, seconds):
    moment = int(time.time())
    client.update_item(
        TableName=ACCOUNTS,
        Key=key,
        UpdateExpression="ADD attempts :one SET last_at = :now, expires_at = :expires",
        ConditionExpression="attribute_not_exists(pk) OR attempts < :most OR expires_at < :now",
        ExpressionAttributeValues={
            ":one": {"N": "1"},
            ":most": {"N": str(most)},
            ":now": {"N": str(moment)},
            ":expires": {"N": str(moment + seconds)},
        },
    )


def count_attempt(username, network):
    """Counts an attempt at a password, by user name and by network, before a hash is computed."""
    _count(throttle_key(username), 10, 86400)
    hour = str(int(time.time()) // 3600)
    _count({"pk": {"S": f"NETWORK#{sha256(network)}"}, "sk": {"S": hour}}, 100, 7200)


def in_days(moment, days):
    return moment + timedelta(days=days)


def reply(status, body):
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(body),
    }


def refuse(status, reason):
    return reply(status, {"error": {"reason": reason}})


def serve(handle):
    """Lambda's Runtime API, as thin as it can be: AWS's own client for it costs more."""
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    path = "/2018-06-01/runtime/invocation"

    def call(method, path, body=None):
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.headers, response.read()

    while True:
        headers, event = call("GET", f"{path}/next")
        request = headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            answer = json.dumps(handle(json.loads(event)))
            call("POST", f"{path}/{request}/response", answer)
        except Exception as error:  # Lambda is told whatever it is
            call("POST", f"{path}/{request}/error", json.dumps({"errorMessage": repr(error)}))
