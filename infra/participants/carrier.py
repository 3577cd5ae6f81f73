"""A participant: a carrier's numbers, kept in a database of its own, take part in erasures.

    python3 infra/participants/carrier.py http://127.0.0.1:3000 numbers.sqlite   # with TENURE_KEY, a key bound to `carrier`

Polls its open requests, deletes the account's numbers, keeps the invoices that it must, and acknowledges. What it found is
recorded in the transaction that deletes, so that it says the same again if it is killed before the answer has arrived.
"""

import json
import os
import sqlite3
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

NAME = "carrier"
SCHEMA = """
    CREATE TABLE IF NOT EXISTS numbers (customer_id TEXT, number TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS invoices (customer_id TEXT, id TEXT PRIMARY KEY, keep_until TEXT);
    CREATE TABLE IF NOT EXISTS answers (customer_id TEXT, round INTEGER, answer TEXT, PRIMARY KEY (customer_id, round));
"""


def call(api, method, path, body=None):
    """Sends a request; returns the API's answer. Raises on an error such as 429 or 503: the next poll tries again."""
    headers = {"Authorization": f"Bearer {os.environ['TENURE_KEY']}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(api + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def open_requests(api):
    """All open requests, page by page."""
    token = ""
    while True:
        page = call(api, "GET", f"/v1.0/participants/{NAME}/requests?page_token={urllib.parse.quote(token)}")
        yield from page["result"]
        token = page["next_page_token"]
        if not token:
            return


def erase(database, customer, round):
    """Deletes what is kept for the account, once per round, and returns the answer for it."""
    with database:  # One transaction: the numbers are gone if and only if the answer is recorded.
        database.execute("BEGIN IMMEDIATE")
        known = database.execute("SELECT answer FROM answers WHERE (customer_id, round) = (?, ?)", (customer, round)).fetchone()
        if known:
            return json.loads(known[0])
        deleted = database.execute("DELETE FROM numbers WHERE customer_id = ?", (customer,)).rowcount
        kept, until = database.execute(
            "SELECT count(*), max(keep_until) FROM invoices WHERE customer_id = ?", (customer,)
        ).fetchone()
        law = [{"kind": "invoices", "count": kept, "ground": "tax law", "until": until}] if kept else []
        answer = {"status": "completed", "round": round, "found": deleted + kept, "deleted": deleted, "retained": law}
        database.execute("INSERT INTO answers VALUES (?, ?, ?)", (customer, round, json.dumps(answer)))
        return answer


def main(api, path):
    database = sqlite3.connect(path, isolation_level=None)
    database.executescript(SCHEMA)
    while True:
        try:
            for request in open_requests(api):
                answer = erase(database, request["customer_id"], request["round"])
                try:
                    call(api, "PUT", f"/v1.0/erasures/{request['customer_id']}/acknowledgements/{NAME}", answer)
                except urllib.error.HTTPError as error:  # Only this answer was refused: go on with the next.
                    print(f"refused: {error}", file=sys.stderr)
        except OSError as error:
            print(f"again in a moment: {error}", file=sys.stderr)
        time.sleep(float(os.environ.get("POLL_SECONDS", "60")))


if __name__ == "__main__":
    main(*sys.argv[1:])
