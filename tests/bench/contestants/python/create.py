"""POST /v1.0/customers"""

import json

from argon2 import PasswordHasher
from tenure import (
    ACCOUNTS, ADMIN, OUTBOX, PROJECT_ADMIN, caller, client, now, outbox_item, put, refuse, reply, serve,
    sha256, shown, text, uuid7,
)  # fmt: skip

hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)


def handle(event):
    if not caller(event, PROJECT_ADMIN):
        return refuse(401, "AUTHENTICATION_REQUIRED")
    body = json.loads(event["body"])
    password_hash = hasher.hash(body["password"])
    customer, agent, moment = uuid7(), uuid7(), text(now())
    pk, login = f"CUSTOMER#{customer}", sha256(body["username"].lower())
    created = {
        "id": customer,
        "name": body.get("name", ""),
        "detail": body.get("detail", ""),
        "email": body.get("email", ""),
        "phone_number": "",
        "address": "",
        "webhook_method": body.get("webhook_method", ""),
        "webhook_uri": body.get("webhook_uri", ""),
        "billing_account_id": "00000000-0000-0000-0000-000000000000",
        "metadata": {},
        "email_verified": False,
        "status": "initial",
        "identity_verification_status": "none",
        "tm_create": moment,
        "tm_update": moment,
    }
    place = {"pk": pk, "sk": "A", "list_pk": "CUSTOMERS", "list_sk": f"{moment}#{customer}"}
    lock = {
        "pk": f"USERNAME#{login}",
        "sk": "L",
        "customer_id": customer,
        "agent_id": agent,
        "password_hash": password_hash,
        "epoch": 0,
    }
    first = {
        "pk": pk,
        "sk": f"AGENT#{agent}",
        "id": agent,
        "username": body["username"],
        "login": login,
        "name": "",
        "detail": "",
        "permission": ADMIN,
        "epoch": 0,
        "tm_create": moment,
        "tm_update": moment,
    }
    address = {"pk": f"EMAIL#{sha256(created['email'].lower())}", "sk": "L", "customer_id": customer}
    client.transact_write_items(
        TransactItems=[
            put(ACCOUNTS, place | created | {"version": 0, "sequence": 1}, "pk"),
            put(ACCOUNTS, lock, "pk"),
            put(ACCOUNTS, first, "pk"),
            put(ACCOUNTS, address, "pk"),
            put(OUTBOX, outbox_item("customer_created", created, 1), "id"),
        ]
    )
    return reply(200, shown(created))


serve(handle)
