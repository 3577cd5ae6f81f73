"""Runs the example participant of infra/participants against the local stack, and kills it repeatedly.

    pip install --require-hashes -r infra/requirements/checks.txt
    python3 infra/check_participant.py             # 20 accounts, killed 50 times
    python3 infra/check_participant.py --kills 200

Accounts are deleted while the participant is killed at random times and started again. At the end, its database must have
no numbers of theirs, every erasure must be complete, and every final receipt must be genuine and say what was there.
"""

import argparse
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

from joserfc.jwk import KeySet

from local_stack import BUILT, PASSWORD, ROOT, free_port, local_stack
from verify_receipt import NotGenuine, claims_of

PARTICIPANT = ROOT / "infra/participants/carrier.py"
ACCOUNTS = 20


def expect(answer, what):
    status, body = answer
    if status != 200:
        sys.exit(f"{what}: {status} {json.dumps(body)}")
    return body


class Carrier:
    """The participant, as a process that is killed and started again."""

    def __init__(self, api, key, database):
        self.command = [sys.executable, PARTICIPANT, api.url, database]
        self.environment = {**os.environ, "TENURE_KEY": key, "POLL_SECONDS": "0.05"}
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, env=self.environment, stderr=subprocess.DEVNULL)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def customers(api, operator, database):
    """Creates accounts with numbers and invoices at the carrier; returns how many of each there are, by account."""
    kept = {}
    with sqlite3.connect(database) as rows:
        for number in range(ACCOUNTS):
            body = {"username": f"customer-{number}", "password": PASSWORD}
            customer = expect(api.send("POST", "/v1.0/customers", operator, body), "create")["id"]
            numbers, invoices = random.randrange(50), random.randrange(3)
            kept[customer] = numbers, invoices
            rows.executemany("INSERT INTO numbers VALUES (?, ?)", [(customer, f"{customer}-{i}") for i in range(numbers)])
            year = [(customer, f"{customer}-{i}", f"203{i}-12-31T00:00:00Z") for i in range(invoices)]
            rows.executemany("INSERT INTO invoices VALUES (?, ?, ?)", year)
    return kept


def erasures(api, operator, ids):
    return {id: expect(api.send("GET", f"/v1.0/customers/{id}/erasure", operator), "erasure") for id in ids}


def problems(api, kept, found, database):
    """Yields what is wrong once all erasures are complete: numbers that are left, and wrong receipts."""
    with sqlite3.connect(database) as rows:
        for customer, count in rows.execute("SELECT customer_id, count(*) FROM numbers GROUP BY 1"):
            if customer in kept:
                yield f"{customer} has {count} numbers"
    keys = KeySet.import_key_set(expect(api.send("GET", "/v1.0/erasure-keys"), "keys"))
    for customer, (numbers, invoices) in kept.items():
        receipt = found[customer]["receipt"]
        try:
            claims = claims_of(receipt, keys)
        except NotGenuine as problem:
            yield f"{customer}: {problem}"
            continue
        try:
            claims_of(receipt[:-20] + ("A" if receipt[-20] != "A" else "B") + receipt[-19:], keys)
            yield f"{customer}: a receipt with a changed byte is taken for genuine"
        except NotGenuine:
            pass
        (part,) = claims["covers"]["participants"]
        said = part["state"], part["found"], part["deleted"], sum(items["count"] for items in claims["retained"])
        if said != ("completed", numbers + invoices, numbers, invoices) or not claims["final"]:
            yield f"{customer}: {said}, final {claims['final']}, and there were {numbers} numbers and {invoices} invoices"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--kills", type=int, default=50)
    kills = arguments.parse_args().kills
    with tempfile.TemporaryDirectory() as directory, local_stack(lambda name: f"exec {BUILT / name}", free_port()) as api:
        database = pathlib.Path(directory, "numbers.sqlite")
        login = {"username": "admin@localhost", "password": "local-admin-password"}
        operator = expect(api.send("POST", "/auth/login", None, login), "log in")["token"]
        expect(api.send("PUT", "/v1.0/participants/carrier", operator, {"required": True}), "register")
        bound = {"expire": 86400, "participant": "carrier"}
        key = expect(api.send("POST", "/v1.0/accesskeys", operator, bound), "key")["token"]
        carrier = Carrier(api, key, database)
        while not database.exists() or database.stat().st_size == 0:
            time.sleep(0.05)
        kept, killed = customers(api, operator, database), 0
        waiting = list(kept)
        while killed < kills or waiting:
            # Deletions are spread evenly over the kills, so that an erasure is always under way.
            if waiting and killed * ACCOUNTS >= (ACCOUNTS - len(waiting)) * kills:
                expect(api.send("DELETE", f"/v1.0/customers/{waiting.pop()}", operator), "delete")
            time.sleep(random.uniform(0.02, 0.4))
            carrier.kill()
            killed += 1
            carrier.start()
        for _ in range(600):
            found = erasures(api, operator, kept)
            if all(erasure["stage"] == "finished" for erasure in found.values()):
                break
            time.sleep(0.1)
        carrier.kill()
        stages = sorted({erasure["stage"] for erasure in found.values()})
        if stages != ["finished"]:
            sys.exit(f"erasures are {stages} after {killed} kills")
        if wrong := list(problems(api, kept, found, database)):
            sys.exit("\n".join(wrong))
    print(f"{len(kept)} erasures complete, {sum(n for n, _ in kept.values())} numbers deleted, killed {killed} times")


main()
