"""POST /auth/login"""

import json
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from tenure import (
    ACCOUNTS, ADMIN, client, count_attempt, get, in_days, now, put, refuse, reply, serve, sha256, text,
    throttle_key,
)  # fmt: skip

hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def handle(event):
    body = json.loads(event["body"])
    username = body["username"]
    count_attempt(username, event["requestContext"]["http"]["sourceIp"])
    lock = get(f"USERNAME#{sha256(username.lower())}", "L")
    if not lock:
        return refuse(401, "INVALID_CREDENTIALS")
    try:
        hasher.verify(lock["password_hash"], body["password"])
    except VerifyMismatchError:
        return refuse(401, "INVALID_CREDENTIALS")
    token, expires = secrets.token_urlsafe(32), in_days(now(), 7)
    session = {
        "pk": f"TOKEN#{sha256(token)}",
        "sk": "L",
        "customer_id": lock["customer_id"],
        "agent_id": lock["agent_id"],
        "username": username,
        "permission": ADMIN,
        "tm_expire": text(expires),
        "expires_at": int(expires.timestamp()),
    }
    is_live = {
        "TableName": ACCOUNTS,
        "Key": {"pk": {"S": f"CUSTOMER#{lock['customer_id']}"}, "sk": {"S": "A"}},
        "ConditionExpression": "#status <> :deleted",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":deleted": {"S": "deleted"}},
    }
    client.transact_write_items(
        TransactItems=[
            put(ACCOUNTS, session, "pk"),
            {"ConditionCheck": is_live},
            {"Delete": {"TableName": ACCOUNTS, "Key": throttle_key(username)}},
        ]
    )
    return reply(200, {"username": username, "token": token})


serve(handle)
