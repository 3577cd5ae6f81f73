"""POST /auth/unregister"""

import json

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from tenure import (
    ACCOUNTS, ADMIN, OUTBOX, caller, client, count_attempt, get, in_days, now, outbox_item, put, refuse,
    reply, serve, sha256, shown, text, throttle_key, to_item,
)  # fmt: skip

hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def handle(event):
    session = caller(event, ADMIN)
    if not session:
        return refuse(401, "AUTHENTICATION_REQUIRED")
    username = session["username"]
    count_attempt(username, event["requestContext"]["http"]["sourceIp"])
    lock = get(f"USERNAME#{sha256(username.lower())}", "L")
    before = get(f"CUSTOMER#{session['customer_id']}", "A")
    if not lock or not before:
        return refuse(401, "INVALID_CREDENTIALS")
    try:
        hasher.verify(lock["password_hash"], json.loads(event["body"])["password"])
    except VerifyMismatchError:
        return refuse(401, "INVALID_CREDENTIALS")
    moment = now()
    due = text(in_days(moment, 30))
    after = before | {"status": "frozen", "tm_deletion_scheduled": due, "tm_update": text(moment)}
    freeze = {
        "TableName": ACCOUNTS,
        "Key": to_item({"pk": before["pk"], "sk": before["sk"]}),
        "UpdateExpression": (
            "SET #status = :frozen, frozen_from = :from, tm_deletion_scheduled = :due, "
            "tm_freeze = :now, tm_update = :now, due_pk = :queue, due_sk = :place "
            "ADD version :one, #sequence :one"
        ),
        "ConditionExpression": "#status = :from AND version = :version",
        "ExpressionAttributeNames": {"#status": "status", "#sequence": "sequence"},
        "ExpressionAttributeValues": to_item(
            {
                ":frozen": "frozen",
                ":from": before["status"],
                ":due": due,
                ":now": after["tm_update"],
                ":queue": f"DUE#{int(before['id'][-2:], 16) % 4}",
                ":place": f"{due}#{before['id']}",
                ":one": 1,
                ":version": before["version"],
            }
        ),
    }
    client.transact_write_items(
        TransactItems=[
            {"Update": freeze},
            put(OUTBOX, outbox_item("customer_frozen", after, before["sequence"] + 1), "id"),
            {"Delete": {"TableName": ACCOUNTS, "Key": throttle_key(username)}},
        ]
    )
    return reply(200, shown(after))


serve(handle)
