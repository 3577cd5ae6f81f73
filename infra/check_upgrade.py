"""Rehearses an update and a rollback with the functions of an earlier version. Not part of CI: it builds them, in minutes.

    cargo build -p functions -p local --bins
    python3 infra/check_upgrade.py --from v0.1.0        # a tag or commit; once built, it is not built again

One local stack, with the template of today and one set of tables, goes through an update and back: all functions old,
some new, the others new, all new, all old again (rolled back), all new. In each phase an account is made, and those of
all phases before are used, frozen, recovered, held, and one of them deleted. Every answer has to be a success, each
deletion gets its receipt, and no old function may remove an attribute that a new one has written.
"""

import argparse
import io
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

from local_stack import BUILT, PASSWORD, ROOT, free_port, functions, local_stack

OPERATOR = {"username": "admin@localhost", "password": "local-admin-password"}
TABLES = ("AccountsTable", "ErasuresTable")


def build(commit):
    """Builds the functions of a version, once; returns their directory."""
    name = subprocess.run(["git", "rev-parse", f"{commit}^{{commit}}"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    place = ROOT / "target/upgrade" / name
    if not place.joinpath("built").exists():
        archive = subprocess.run(["git", "archive", name], cwd=ROOT, check=True, capture_output=True).stdout
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(place / "source", filter="data")
        command = ["cargo", "build", "--quiet", "--package", "functions", "--bins", "--target-dir", ROOT / "target/upgrade/build"]
        subprocess.run(command, cwd=place / "source", check=True)
        (place / "built").mkdir()
        for source in (place / "source/functions/src/bin").glob("*.rs"):
            (ROOT / "target/upgrade/build/debug" / source.stem).rename(place / "built" / source.stem)
    return place / "built"


class Upgrade:
    def __init__(self, api, old, chosen):
        self.api, self.old, self.chosen = api, old, chosen
        self.accounts, self.made, self.requests, self.problems = [], 0, 0, []

    def choose(self, is_new):
        """Sets which functions are new from now on; moving the clock makes the stack restart those that run."""
        for name in functions():
            directory = BUILT if is_new(name) or not self.old.joinpath(name).exists() else self.old
            pathlib.Path(self.chosen, name).write_text(str(directory / name))
        self.api.send("POST", "/_local/clock", None, {"advance_seconds": 61})

    def ok(self, method, path, token=None, body=None):
        status, answer = self.api.send(method, path, token, body)
        self.requests += 1
        if status != 200:
            self.problems.append(f"{self.phase}: {method} {path}: {status} {json.dumps(answer)[:200]}")
        return answer

    def live(self, phase):
        self.phase, ok = phase, self.ok
        admin = ok("POST", "/auth/login", None, OPERATOR).get("token")
        self.made += 1
        name = f"customer{self.made}"
        made = ok("POST", "/v1.0/customers", admin, {"username": name, "password": PASSWORD, "name": name, "email": f"{name}@example.com"})
        self.accounts.append((name, made.get("id")))
        for name, account in self.accounts:
            self.use(name, account, admin)
        if len(self.accounts) > 2:
            name, account = self.accounts.pop(0)
            ok("DELETE", f"/v1.0/customers/{account}", admin)
            self.api.settle()
            if "receipt" not in ok("GET", f"/v1.0/customers/{account}/erasure", admin):
                self.problems.append(f"{phase}: {name} has no receipt")
        for query in ("", "?status=initial", "?name=customer", "?deleted=true"):
            ok("GET", f"/v1.0/customers{query}", admin)

    def use(self, name, account, admin):
        ok, path = self.ok, f"/v1.0/customers/{account}"
        own = ok("POST", "/auth/login", None, {"username": name, "password": PASSWORD}).get("token")
        ok("GET", "/v1.0/customer", own)
        ok("PUT", "/v1.0/customer/metadata", own, {"rtp_debug": True})
        key = ok("POST", "/v1.0/accesskeys", own, {"expire": 86_400})
        ok("GET", "/v1.0/me", key.get("token"))
        ok("PUT", f"/v1.0/accesskeys/{key.get('id')}", own, {"name": "changed"})
        ok("GET", "/v1.0/accesskeys", own)
        number = ok("POST", "/v1.0/numbers", own, {"name": "one"})
        ok("PUT", f"/v1.0/numbers/{number.get('id')}", own, {"name": "two"})
        ok("GET", "/v1.0/events", own)
        ok("PUT", path, admin, {"detail": f"in {self.phase}"})
        ok("PUT", f"{path}/hold", admin, {"reason": "Case 7"})
        ok("DELETE", f"{path}/hold", admin)
        for change in ("suspend", "resume", "freeze", "recover"):
            ok("POST", f"{path}/{change}", admin, {})
        ok("GET", f"{path}/overview", admin)
        ok("POST", "/auth/logout", own, {})

    def items(self):
        """Returns all items of the tables, by table and keys."""
        tables = {table: self.api.send("GET", f"/_local/tables/{table}")[1] for table in TABLES}
        rows = {table: found.get("items", found) if isinstance(found, dict) else found for table, found in tables.items()}
        return {(table, row["pk"]["S"], row["sk"]["S"]): row for table, found in rows.items() for row in found}


def attributes(items):
    return {name for item in items.values() for name in item}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from", dest="commit", required=True, help="the tag or commit that is updated")
    old = build(parser.parse_args().commit)
    every_other = {name for number, name in enumerate(functions()) if number % 2}
    with tempfile.TemporaryDirectory() as chosen:
        for name in functions():
            pathlib.Path(chosen, name).write_text(str(BUILT / name))
        with local_stack(lambda name: f"exec \"$(cat '{chosen}/{name}')\"", free_port()) as api:
            upgrade = Upgrade(api, old, chosen)
            phases = {
                "the old version": lambda _: False,
                "the update, begun": lambda name: name in every_other,
                "the update, the other way round": lambda name: name not in every_other,
                "the new version": lambda _: True,
            }
            known = set()
            for phase, is_new in phases.items():
                upgrade.choose(is_new)
                # The first phase runs three times, until an account is deleted, to see all that the old version writes.
                for _ in range(1 if known else 3):
                    upgrade.live(phase)
                known = known or attributes(upgrade.items())
            before = upgrade.items()
            new = attributes(before) - known
            upgrade.choose(lambda _: False)
            upgrade.live("rolled back")
            after = upgrade.items()
            deleted = {key for key, item in after.items() if item.get("status", {}).get("S") == "deleted"}
            for key in before.keys() & after.keys() - deleted:
                for name in (before[key].keys() & new) - after[key].keys():
                    upgrade.problems.append(f"rolled back: {key} has lost {name}")
            upgrade.choose(lambda _: True)
            upgrade.live("updated again")
    ours = sum(1 for name in functions() if not old.joinpath(name).exists())
    print(f"{upgrade.requests} requests in 6 phases; functions that only the new version has: {ours}")
    print(f"attributes that only the new version writes: {', '.join(sorted(new)) or 'none'}")
    print("\n".join(upgrade.problems) or "every request succeeded, and nothing was lost")
    return 1 if upgrade.problems else 0


if __name__ == "__main__":
    sys.exit(main())
