"""Uses the console as an operator does, in Chromium, by keyboard alone.

    pip install --require-hashes -r infra/requirements/swagger_ui.txt
    pip install --require-hashes --no-deps -r infra/requirements/axe.txt
    python3 infra/check_console.py
    python3 infra/check_console.py http://127.0.0.1:3000   # a stack that runs already, without data

Needs Chromium or Chrome, and its chromedriver (Debian: chromium, chromium-driver); takes two minutes. An account with
markup in every text field is found, and its deletion planned; it is changed behind the operator's back, so the deletion
is refused, planned again, and done. A participant is waived, and the receipt verified. Another account is held,
suspended, frozen and recovered; a failed webhook delivery is sent again; the stack's clock is moved. Fails if a view
has an error in Chromium's console, violates accessibility rules (axe-core), sends a request to another host, keeps the
token anywhere, is wider than a telephone, or renders text as markup. Pictures of all views are in target/tmp/pages/.
"""

import json
import time

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import local_stack
from chromium import OpenPage, command, run, step

OPERATOR = ("admin@localhost", "local-admin-password")
PASSWORD = "correct horse battery staple"
KINDS = ["numbers", "flows", "queues", "trunks", "extensions", "files", "billing_accounts", "tags", "transcriptions", "contacts", "outbound_configs"]
# Titles of the views. None contains data of an account, as browsers keep titles.
TITLES = ["Tenure console", *(f"{view} – Tenure console" for view in ["Accounts", "Account", "Erasures", "Failing webhooks", "Receipts"])]
# Text that is markup, closes an attribute, and is a template.
HOSTILE = '"\'><img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}${7*7}'


class Api(local_stack.Api):
    """The API as a program calls it, with the operator's token unless it has another one."""

    token = None

    def send(self, method, path, token=None, body=None, **headers):
        return super().send(method, path, token or self.token, body, **headers)

    def login(self, username, password):
        return self.ok("POST", "/auth/login", {"username": username, "password": password})["token"]


class Page(OpenPage):
    """The open console, used by keyboard."""

    def wait(self, what, seconds=30):
        return WebDriverWait(self.chromium, seconds, poll_frequency=0.05).until(lambda _: what())

    def all(self, selector):
        return self.chromium.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector="main"):
        return self.chromium.execute_script(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def says(self, *words, within="main"):
        """Waits until this element says all of these words."""
        try:
            self.wait(lambda: all(word in self.text(within) for word in words))
        except Exception as error:
            raise AssertionError(f"{within} does not say {words}: {self.text(within)} {self.chromium.get_log('browser')}") from error

    def reach(self, name):
        """Presses Tab until the element with this accessible name has the focus, and returns it."""
        seen = []
        for _ in range(150):
            focus = self.chromium.switch_to.active_element
            if focus.accessible_name == name:
                return focus
            seen.append(focus.accessible_name)
            self.press(Keys.TAB)
        raise AssertionError(f"{name} cannot be reached by keyboard: {list(dict.fromkeys(seen))}")

    def choose(self, name):
        """Reaches this button or link, and presses Enter."""
        self.reach(name)
        self.press(Keys.ENTER)

    def open(self, view):
        """Chooses a view, and waits until it has taken the focus."""
        self.choose(view)
        self.wait(lambda: self.chromium.switch_to.active_element.tag_name == "h1")

    def dialog(self, title):
        """Waits for the dialog with this title; returns the request in it, which has a variable for the token."""
        self.wait(lambda: title in self.text("dialog[open] h2"))
        request = self.text("dialog pre")
        assert request.startswith("curl -X ") and "$TOKEN" in request and "vbs_" not in request, request
        return request

    def done(self, *words):
        """Waits until the dialog has closed, and the page's status says these words."""
        try:
            self.wait(lambda: not self.all("dialog[open]"))
        except Exception as error:
            raise AssertionError(f"not done: {self.text('dialog')}") from error
        self.says(*words, within="#status")

    def look(self, name):
        super().look(f"console-{name}")
        hits = self.chromium.execute_script("return [window.hit ?? 0, document.querySelectorAll('main img, main script, dialog img').length]")
        assert hits == [0, 0], f"{name}: text became markup"
        assert self.chromium.title in TITLES, f"{name}: {self.chromium.title}"


def account(api, username, **fields):
    """Creates an account; returns its id, and its owner's token."""
    new = api.ok("POST", "/v1.0/customers", {"username": username, "password": PASSWORD, **fields})
    return new["id"], api.login(username, PASSWORD)


def prepare(api):
    """Creates accounts and a participant, with markup in each text field."""
    step("prepare accounts")
    api.token = api.login(*OPERATOR)
    api.ok("PUT", "/v1.0/participants/carrier", {"required": True, "timeout": 86_400, "detail": HOSTILE})
    text = {"name": HOSTILE, "detail": HOSTILE}
    hostile, owner = account(api, "<img/src=x/onerror=window.hit=1>", **text, address=HOSTILE, email="ann@example.com", webhook_uri='https://hooks.example.com/?a=<script>"\'')
    for kind in KINDS:
        api.ok("POST", f"/v1.0/{kind}", {**text, "data": {HOSTILE: HOSTILE}}, owner)
    agent = {"username": "<script>window.hit=1</script>", "password": PASSWORD, "permission": 64, "current_password": PASSWORD}
    api.ok("POST", "/v1.0/agents", {**agent, **text}, owner)
    api.ok("POST", "/v1.0/accesskeys", {**text, "expire": 86_400}, owner)
    other, _ = account(api, "owner2", name="Zebra Ltd")
    return hostile, owner, other


def first_paint(page):
    step("first paint: the form and its style come with the page")
    command(page.chromium, "Network.enable")
    command(page.chromium, "Network.setBlockedURLs", urls=["*.js"])
    page.chromium.get(f"{page.url}/console")
    form = page.all("#sign-in")[0]
    assert form.is_displayed() and form.size["width"] <= 400, "without scripts, the form is not there as it should be"
    command(page.chromium, "Network.setBlockedURLs", urls=[])
    page.chromium.get_log("browser")


def sign_in(api, page):
    step("sign in: not with a wrong password, not as an owner")
    page.chromium.get(f"{page.url}/console")
    for username, password, refusal in [(OPERATOR[0], "wrong password", "password"), ("owner2", PASSWORD, "not a project admin")]:
        page.type("User name", username)
        page.type("Password", password)
        page.press(Keys.ENTER)
        page.says(refusal, within="#sign-in-problem")
    page.look("sign-in")
    enter(page)
    kept = page.chromium.execute_script("return [localStorage.length, sessionStorage.length, document.cookie, location.href]")
    assert kept == [0, 0, "", f"{page.url}/console"], kept
    assert "vbs_" not in page.chromium.page_source, "the token is in the page"


def enter(page):
    page.type("User name", OPERATOR[0])
    page.type("Password", OPERATOR[1])
    page.press(Keys.ENTER)
    page.says("Accounts", within="#view h1")


def find(page, name, title):
    step(f"find {name!r}")
    page.open("Accounts")
    page.reach("Show")
    page.press("By n")
    page.type("Name begins with", name)
    page.press(Keys.ENTER)
    page.wait(lambda: len(page.all("tbody tr")) == 1)
    page.look("accounts")
    assert name not in page.chromium.current_url
    page.choose(title)
    page.wait(lambda: title in page.text("#view h1"))


def delete(api, page, hostile, owner):
    """Plans a deletion, is refused as the account has changed, plans again, deletes, and waives the participant."""
    find(page, '"\'><img', HOSTILE)
    page.says("History", "Webhook deliveries", "<script>window.hit=1</script>", HOSTILE)
    for kind in KINDS:
        page.choose(f"Show {kind.replace('_', ' ')}")
        page.wait(lambda: kind.replace("_", " ") in page.text("h3").lower())
        page.says(json.dumps({HOSTILE: HOSTILE}, separators=(",", ":")))
    page.look("account")
    step("plan, and be overtaken")
    page.choose("Plan deletion")
    page.says("Digest", within="#plan")
    page.look("plan")
    api.ok("POST", "/v1.0/numbers", {}, owner)
    page.choose("Delete as planned…")
    request = page.dialog("Delete ")
    assert "DELETE" in request and page.text("#plan dd code") in request, request
    page.look("delete")
    page.choose("Delete for good")
    page.says("has changed since", "Numbers", within="dialog")
    page.look("outdated")
    page.choose("Plan again")
    page.wait(lambda: not page.all("dialog[open]"))
    page.says("Digest", within="#plan")
    step("delete, and watch")
    page.choose("Delete as planned…")
    page.dialog("Delete ")
    page.choose("Delete for good")
    page.done("Deleted")
    page.says("Awaiting participants", "carrier", "Asked")
    answer = {"status": "failed", "found": 3, "deleted": 1, "retained": [{"kind": "invoices", "count": 2, "ground": "tax", "until": None}], "detail": HOSTILE}
    api.ok("PUT", f"/v1.0/erasures/{hostile}/acknowledgements/carrier", answer)
    page.open("Erasures")
    page.says("Under way", hostile, "carrier", HOSTILE)
    page.look("erasures")
    page.choose("Waive carrier")
    page.dialog("Waive carrier")
    page.type("Reason", HOSTILE)
    page.choose("Waive")
    page.done("Waived")
    step("look at the erased account")
    page.chromium.execute_script(f"location.hash = '#/accounts/{hostile}'")
    page.says("Erased", "Verified", HOSTILE)
    page.look("erased")


def verify(api, page, hostile):
    step("verify a receipt, and one with a changed byte")
    first, final = api.ok("GET", f"/v1.0/customers/{hostile}/erasure")["receipts"]
    page.open("Receipts")
    # What it states can still be read; only the signature does not match.
    stated, signature = final.rsplit(".", 1)
    changed = f"{stated}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for text, verdict in [(f"{first} {changed}", "its signature does not match"), (final, "supersedes"), (HOSTILE, "Not valid")]:
        page.type("Signed receipts", text)
        page.choose("Verify")
        page.says(verdict)
    page.type("Signed receipts", f"{first} {final}")
    page.choose("Verify")
    page.says("It is final.")
    page.look("receipt")


def act(api, page, other):
    """Holds, suspends and freezes an account, and undoes each."""
    find(page, "zebra", "Zebra Ltd")
    state = lambda: api.ok("GET", f"/v1.0/customers/{other}/overview")
    step("hold and lift")
    page.choose("Hold…")
    page.dialog("Hold this account")
    page.type("Name", "Case 7")
    page.type("Reason", HOSTILE)
    page.choose("Hold")
    page.says("name", within="dialog .problem")
    page.type("Name", "case-7")
    request = page.dialog("Hold this account")
    assert "case-7" in request and "idempotency-key" in request, request
    page.look("hold")
    page.choose("Hold")
    page.done("Held")
    page.says("Held (1)", HOSTILE)
    assert [hold["name"] for hold in state()["holds"]] == ["case-7"]
    page.choose("Lift case-7…")
    page.dialog("Lift the hold")
    page.choose("Lift")
    page.done("Lifted")
    assert state()["holds"] == []
    step("suspend and resume")
    for button, verb, done, is_suspended in [("Suspend…", "Suspend", "Suspended", True), ("Resume…", "Resume", "Resumed", False)]:
        page.choose(button)
        page.dialog(verb)
        page.choose(verb)
        page.done(done)
        assert bool(state()["suspension"]) == is_suspended
    step("freeze and recover")
    for button, verb, done, status in [("Freeze…", "Freeze", "Frozen", "frozen"), ("Recover…", "Recover", "Recovered", "initial")]:
        page.choose(button)
        page.dialog(verb)
        page.choose(verb)
        page.done(done)
        assert state()["status"] == status
        if status == "frozen":
            page.says("What happens when", "A week is left.")
            page.look("frozen")
    step("nothing happens without a confirmation")
    page.choose("Freeze…")
    page.dialog("Freeze")
    page.press(Keys.ESCAPE)
    page.wait(lambda: not page.all("dialog[open]"))
    assert state()["status"] == "initial"


def resend(api, page):
    step("send the event of a failing webhook again")
    account(api, "owner3", name="Broken Ltd", webhook_uri="https://hooks.example.com/")
    for _ in range(4):
        api.ok("POST", "/_local/settle")
        api.ok("POST", "/_local/clock", {"advance_seconds": 600})
    api.ok("POST", "/_local/settle")
    api.token = api.login(*OPERATOR)
    page.open("Webhooks")
    page.says("Broken Ltd", "Customer created")
    page.look("webhooks")
    page.reach("Broken Ltd")
    page.choose("Resend Customer created 1")
    page.dialog("Resend this event")
    page.choose("Resend")
    page.done("sent again")


def move_clock(api, page, other):
    step("move the clock: a day, then 30, after which a frozen account is due")
    api.ok("POST", f"/v1.0/customers/{other}/freeze")
    page.open("Accounts")
    before = page.text("#clock time")
    page.choose("+1 day")
    page.wait(lambda: page.text("#clock [role=status]") not in ("", "Moving the clock …"))
    assert page.text("#clock time")[:16] != before[:16], before
    page.look("clock")
    page.choose("+30 days")
    page.says("claimed 1", within="#clock [role=status]")
    page.says("The session has ended", within="#sign-in-problem")
    api.token = api.login(*OPERATOR)
    assert api.ok("GET", f"/v1.0/customers/{other}/overview")["status"] == "deleted"
    enter(page)
    page.open("Erasures")
    page.says("Under way", other)


def end(api, page):
    step("a session that has ended, and signing out")
    page.open("Accounts")
    api.ok("POST", "/auth/logout", {"everywhere": True})
    page.choose("Find")
    page.says("The session has ended", within="#sign-in-problem")
    assert page.text("#view") == "", "what was shown is still there"
    enter(page)
    page.choose("Sign out")
    page.says("Signed out", within="#status")
    assert page.all("#sign-in")[0].is_displayed()


def check(chromium, url):
    api, page = Api(url), Page(chromium, url)
    began = time.monotonic()
    hostile, owner, other = prepare(api)
    first_paint(page)
    sign_in(api, page)
    delete(api, page, hostile, owner)
    verify(api, page, hostile)
    act(api, page, other)
    resend(api, page)
    move_clock(api, page, other)
    end(api, page)
    print(f"{time.monotonic() - began:.0f} s", flush=True)
    return page.problems


# Wrong passwords, an owner, an outdated plan, a hold's name and a session that has ended are refused on purpose.
run(check, expected=[f"the server responded with a status of {status}" for status in (400, 401, 409)])
