"""Uses the account pages as a customer does, in Chromium, by keyboard alone: from the sign-up to the receipt.

    pip install --require-hashes -r infra/requirements/swagger_ui.txt
    pip install --require-hashes --no-deps -r infra/requirements/axe.txt
    python3 infra/check_account_pages.py
    python3 infra/check_account_pages.py http://127.0.0.1:3000   # a stack that runs already

Needs Chromium or Chrome, and its chromedriver (Debian: chromium, chromium-driver); takes a minute. The customer signs
up, resets a forgotten password, and verifies an address that an operator entered, each by the link in the stack's mail.
Then the owner signs in, unregisters, recovers the account, unregisters by a mailed link, unregisters at once, and
follows the erasure by its ticket to the receipt, which the page verifies, and refuses with any byte changed. Fails if a
page has an error, violates its own content security policy, sends a request to another host, keeps a token or a
password in the address bar or in the browser's storage, acts before its reader does, renders text as markup, or is not
accessible (axe-core). Pictures of each page are put into target/tmp/pages/.
"""

from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

import local_stack
from chromium import OpenPage, command, run, step

OPERATOR = ("admin@localhost", "local-admin-password")
ADDRESS = "ann@example.com"
FIRST, SECOND = "correct horse battery staple", "four other words entirely"
# Markup where text belongs.
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>{{7*7}}\'"'


class Api(local_stack.Api):
    def login(self, username, password):
        """Logs in; returns the status and body of the answer."""
        return self.send("POST", "/auth/login", None, {"username": username, "password": password})

    def link(self, address):
        """Returns the link in the newest message to an address, with the stack's own host and port."""
        self.ok("POST", "/_local/settle")
        self.ok("POST", "/_local/schedules/MailSendFunctionSchedule/run")
        messages = [one for one in self.ok("GET", "/_local/mail")["mail"] if one["to"] == [address]]
        (link,) = [word for word in messages[-1]["text"].split() if "/account/" in word and "#token=" in word]
        # Links in mail may have another port than the one that the stack listens on.
        return self.url + link[link.index("/account/"):]


class Page(OpenPage):
    """The account page that is open, and what it says."""

    def open(self, link):
        # Without this, only the fragment would change, and the page would not be loaded again.
        self.chromium.get("about:blank")
        self.chromium.get(link)
        self.wait(lambda page: page.find_element(By.ID, "form").is_displayed())
        assert "token" not in self.chromium.current_url, "the token stays in the address bar"

    def wait(self, what):
        return WebDriverWait(self.chromium, 20, poll_frequency=0.05).until(what)

    def focus(self):
        return self.chromium.switch_to.active_element

    def reach(self, selector):
        """Presses Tab until this has the focus."""
        wanted = self.chromium.find_element(By.CSS_SELECTOR, selector)
        for _ in range(40):
            if self.focus() == wanted:
                return wanted
            self.press(Keys.TAB)
        raise AssertionError(f"{selector} cannot be reached by keyboard")

    def send(self, form="#form"):
        self.reach(f"{form} button[type=submit]")
        self.press(Keys.ENTER)

    def view(self, name):
        """Waits until the page shows this view, and asserts that its heading has the focus. Returns the view's text."""
        selector = f"[data-view={name}]"
        self.wait(lambda page: page.find_element(By.CSS_SELECTOR, selector).is_displayed())
        assert self.focus().tag_name == "h1", "the focus is not at the heading"
        return self.text(selector)

    def text(self, selector):
        return self.chromium.find_element(By.CSS_SELECTOR, selector).text

    def shows(self, selector, *words):
        """Waits until this element has these words; returns its text."""
        try:
            self.wait(lambda page: all(word in self.text(selector) for word in words))
        except TimeoutException:
            raise AssertionError(f"{selector} has not {words}: {self.text(selector)}") from None
        return self.text(selector)

    def account(self):
        self.chromium.get("about:blank")
        self.chromium.get(f"{self.url}/account")

    def sign_in(self, username, password):
        self.account()
        self.type("#username", username)
        self.type("#password", password)
        self.send("#login")
        return self.view("account")

    def kept_nowhere(self, *secrets):
        """Asserts that none of these is in the address bar, the history's state or the browser's storage."""
        kept = self.chromium.execute_script(KEPT)
        assert not any(secret in kept for secret in secrets), kept

    def says(self, element, *words):
        """Waits until this element has text, and asserts that it contains these words."""
        text = self.wait(lambda page: page.find_element(By.ID, element).text)
        assert all(word in text for word in words), text
        return text

    def finished(self):
        """Waits until the page says that it is done, and has moved the focus there."""
        self.wait(lambda page: page.find_element(By.ID, "done").is_displayed())
        assert self.focus().get_attribute("id") == "done-title"
        assert not self.chromium.find_element(By.ID, "form").is_displayed()
        return self.chromium.find_element(By.ID, "done").text


def sign_up(api, page):
    step("sign up")
    assert api.ok("POST", "/auth/signup", {"email": ADDRESS, "accepted_tos": True}) == {}
    link = api.link(ADDRESS)
    page.open(link)
    assert api.login(ADDRESS, FIRST)[0] == 401, "the page acted before its reader did"
    page.type("#password", "short")
    page.send()
    page.says("password-problem", "8 characters")
    assert page.focus().get_attribute("id") == "password", "the focus is not at what is wrong"
    assert page.focus().get_attribute("aria-invalid") == "true"
    page.type("#password", FIRST)
    page.reach("#show")
    page.press(Keys.SPACE)
    assert page.chromium.find_element(By.ID, "password").get_attribute("type") == "text"
    page.send()
    assert ADDRESS in page.finished(), "the page does not say how to log in"
    status, body = api.login(ADDRESS, FIRST)
    assert status == 200, body
    step("the same link again")
    page.open(link)
    page.type("#password", FIRST)
    page.send()
    page.says("problem", "not valid any more")


def forget(api, page):
    step("forget the password")
    assert api.ok("POST", "/auth/password-forgot", {"username": ADDRESS}) == {}
    page.open(api.link(ADDRESS))
    page.type("#password", "password")
    page.send()
    page.says("password-problem", "common")
    page.type("#password", SECOND)
    page.send()
    page.finished()
    assert api.login(ADDRESS, FIRST)[0] == 401, "the old password still works"
    assert api.login(ADDRESS, SECOND)[0] == 200


def verify(api, page):
    step("verify the address of an account that an operator made")
    _, operator = api.login(*OPERATOR)
    new = {"username": "test1", "password": FIRST, "email": "bob@example.com"}
    customer = api.ok("POST", "/v1.0/customers", new, operator["token"])
    page.open(api.link(new["email"]))
    assert not page.chromium.find_element(By.ID, "password").is_displayed(), "the page asks for a password"
    page.send()
    page.finished()
    customer = api.ok("GET", f"/v1.0/customers/{customer['id']}", None, operator["token"])
    assert (customer["status"], customer["email_verified"]) == ("active", True), customer


def sign_in(api, page):
    step("sign in: refused, then with markup for a name")
    page.account()
    page.look("sign-in")
    page.type("#username", ADDRESS)
    page.type("#password", "a wrong password")
    page.send("#login")
    page.shows("#login .problem", "password")
    assert page.chromium.find_element(By.ID, "password").get_attribute("value") == ""
    _, session = api.login(ADDRESS, SECOND)
    profile = {"name": HOSTILE, "detail": HOSTILE, "address": HOSTILE}
    api.ok("PUT", "/v1.0/customer", profile, session["token"])
    api.ok("POST", "/v1.0/numbers", {"name": HOSTILE}, session["token"])
    page.sign_in(ADDRESS, SECOND)
    facts = page.shows("#facts", "Numbers", ADDRESS)
    assert facts.count(HOSTILE) == 3, facts
    assert page.chromium.execute_script("return window.hit ?? null") is None, "text is taken for markup"
    assert not page.chromium.find_elements(By.CSS_SELECTOR, "main img")
    page.kept_nowhere(SECOND, "vbs_")
    page.shows("#preview", "30 days", "frozen", "deletion begins", "backup")
    page.look("account")


def leave_and_stay(api, page):
    step("leave with grace: a wrong password, then the right one")
    page.type("#consent", "a wrong password")
    page.send("#leave")
    page.shows("#leave .problem", "password")
    assert page.focus().get_attribute("id") == "consent", "the focus is not at what is wrong"
    page.type("#consent", SECOND)
    page.send("#leave")
    page.shows("#state", "is frozen")
    timeline = page.shows("#schedule", "is frozen", "7 days are left", "one day is left", "deletion begins", "backup")
    assert "in 30 days" in timeline and "in 65 days" in timeline, timeline
    ticket = page.shows("#ticket-box code", "vbt_")
    page.kept_nowhere(SECOND, "vbs_", ticket)
    page.look("frozen")
    step("sign out and in again: the page tells what happens when")
    page.send("#logout")
    page.view("sign-in")
    left = page.chromium.execute_script("return document.documentElement.textContent")
    assert not any(shown in left for shown in (HOSTILE, ADDRESS, ticket)), "what was shown is still there"
    page.sign_in(ADDRESS, SECOND)
    page.shows("#schedule", "in 30 days")
    assert not page.chromium.find_element(By.ID, "ticket-box").is_displayed(), "the ticket is shown twice"
    step("stay after all")
    page.send("#stay")
    page.shows("#state", "active")
    assert page.text("#facts").count(HOSTILE) == 3, "the page shows half of the account"
    status, session = api.login(ADDRESS, SECOND)
    assert api.ok("GET", "/v1.0/customer", None, session["token"])["status"] == "active"
    return ticket


def follow_withdrawn(api, page, ticket):
    step("follow the deletion that was withdrawn")
    page.account()
    page.reach("#with-ticket summary")
    page.press(Keys.ENTER)
    page.type("#ticket", "vbt_0000000000000000000000")
    page.send("#follow")
    page.shows("#follow .problem", "ticket")
    page.type("#ticket", ticket)
    page.send("#follow")
    assert "was kept" in page.view("erasure")
    page.kept_nowhere(ticket)


def leave_by_mail(api, page):
    step("leave without signing in: the page that app stores ask for")
    page.chromium.get(f"{page.url}/account/delete")
    text = page.text("main")
    for words in ("delete", "Sign in", "What is deleted", "What is kept", "35 days"):
        assert words in text, words
    page.look("delete")
    page.type("#email", "ann")
    page.send()
    page.says("email-problem", "address")
    page.type("#email", ADDRESS)
    page.send()
    assert "mailbox" in page.finished()
    link = api.link(ADDRESS)
    assert "/account/unregister#token=" in link, link
    page.open(link)
    page.look("unregister")
    _, session = api.login(ADDRESS, SECOND)
    assert api.ok("GET", "/v1.0/customer", None, session["token"])["status"] == "active", "the page acted before its reader did"
    page.send()
    assert "will be deleted on" in page.finished()
    page.look("unregistered")
    page.open(link)
    page.send()
    page.says("problem", "not valid any more")
    step("stay after all, once more")
    page.sign_in(ADDRESS, SECOND)
    page.send("#stay")
    page.shows("#state", "active")


def leave_at_once(api, page):
    step("leave at once: without the word, then with it")
    page.reach("#leave [value=grace]")
    page.press(Keys.ARROW_DOWN)
    page.shows("#preview", "is deleted")
    page.type("#consent", SECOND)
    page.type("#phrase", "delete")
    page.send("#leave")
    page.shows("#leave .problem", "DELETE")
    page.look("leaving")
    page.type("#consent", SECOND)
    page.type("#phrase", "DELETE")
    page.send("#leave")
    page.view("erasure")
    ticket = page.shows("[data-view=erasure] code.ticket", "vbt_")
    api.ok("POST", "/_local/settle")
    page.shows("#stage", "complete")
    receipts = page.shows("#receipts", "Genuine", "1 numbers")
    assert "Not genuine" not in receipts, receipts
    page.kept_nowhere(ticket, SECOND)
    page.look("erasure")
    assert api.login(ADDRESS, SECOND)[0] == 401
    return ticket


def follow_the_last_mail(api, page):
    step("follow the erasure by the link in the last mail")
    # If the last mail has to wait for the receipt, it is tried again after five minutes.
    api.ok("POST", "/_local/clock", {"advance_seconds": 600})
    api.ok("POST", "/_local/settle")
    messages = [one for one in api.ok("GET", "/_local/mail")["mail"] if one["to"] == [ADDRESS]]
    (link,) = [word for word in messages[-1]["text"].split() if "/account#ticket=" in word]
    page.chromium.get("about:blank")
    page.chromium.get(page.url + link[link.index("/account"):])
    page.view("erasure")
    page.shows("#receipts", "Genuine")
    page.kept_nowhere("vbt_")


def leave_and_lose_the_connection(api, page):
    step("leave at once, and lose the connection: the page shows the ticket all the same")
    page.sign_in("test1", FIRST)
    page.reach("#leave [value=grace]")
    page.press(Keys.ARROW_DOWN)
    page.type("#consent", FIRST)
    page.type("#phrase", "DELETE")
    command(page.chromium, "Network.enable")
    command(page.chromium, "Network.setBlockedURLs", urls=["*/v1.0/erasures/*"])
    page.send("#leave")
    page.view("erasure")
    page.shows("[data-view=erasure] code.ticket", "vbt_")
    page.shows("#again .problem", "cannot be reached")
    command(page.chromium, "Network.setBlockedURLs", urls=[])
    api.ok("POST", "/_local/settle")
    page.send("#again")
    page.shows("#stage", "complete")


def refuse_changed_bytes(api, page, ticket):
    step("check the receipt that was saved, and what somebody changed in it")
    (receipt,) = api.ok("GET", f"/v1.0/erasures/{ticket}")["receipts"]
    page.account()
    page.reach("#with-ticket summary")
    page.press(Keys.ENTER)
    page.type("#jws", receipt)
    page.send("#check")
    page.shows("#check .answer", "Genuine", "1 numbers")
    page.look("check")
    # Another spelling of the same signature, as the last character has four bits too many.
    changed = receipt[:-1] + chr(ord(receipt[-1]) + 1)
    page.type("#jws", changed)
    page.send("#check")
    page.shows("#check .answer", "Not genuine")
    page.look("refused")
    step("each byte of it")
    keys = api.ok("GET", "/v1.0/erasure-keys")
    page.chromium.set_script_timeout(60)
    believed = page.chromium.execute_async_script(EACH_BYTE, receipt, keys)
    assert believed == ["unchanged"], believed
    step("a receipt of another key, and one that supersedes what is not there")
    (key,) = keys["keys"]
    others = page.chromium.execute_async_script(OTHERS, receipt, key["kid"])
    assert others == ["its signature does not match", "it is signed with a key", "it supersedes a receipt"], others


def without_a_link(api, page):
    step("open the page without its link")
    page.chromium.get(f"{api.url}/account/verify")
    page.says("problem", "without its link")
    assert not page.chromium.find_element(By.ID, "form").is_displayed()


def narrow_and_dark(api, page):
    step("a narrow screen, light and dark")
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        command(page.chromium, "Emulation.setEmulatedMedia", features=features)
        command(page.chromium, "Emulation.setDeviceMetricsOverride", width=320, height=640, deviceScaleFactor=1, mobile=True)
        for name in ("verify", "reset", "unregister", "delete"):
            page.open(f"{api.url}/account/{name}#token=x&for=signup")
            width = page.chromium.execute_script("return document.documentElement.scrollWidth")
            assert width <= 320, f"{name} is {width} wide"
            contrasts = page.chromium.execute_script(CONTRASTS)
            assert min(contrasts) >= 4.5, f"{name}, {scheme}: {contrasts}"
    command(page.chromium, "Emulation.clearDeviceMetricsOverride")
    for name in ("verify", "reset"):
        page.open(f"{api.url}/account/{name}#token=x&for=signup")
        page.look(name)


# What the browser keeps of the page.
KEPT = """
return [location.href, JSON.stringify(history.state), document.cookie, ...Object.entries({...localStorage, ...sessionStorage}).flat()].join(" ");
"""

# Verifies a receipt unchanged, and with each byte changed in turn; returns which of these were taken for genuine.
EACH_BYTE = """
const [receipt, keys, done] = arguments;
const {verifyReceipt} = await import("/account/receipt.js");
const believed = (await verifyReceipt(receipt, keys)).valid ? ["unchanged"] : [];
for (let place = 0; place < receipt.length; place += 1) {
  const other = String.fromCharCode(receipt.charCodeAt(place) ^ 1);
  const changed = receipt.slice(0, place) + other + receipt.slice(place + 1);
  if ((await verifyReceipt(changed, keys)).valid) { believed.push(place); }
}
done(believed);
"""

# Verifies receipts signed by another key, under the id of the published key and under its own, and one that supersedes
# a receipt that is not there.
OTHERS = """
const [receipt, kid, done] = arguments;
const {verifyReceipts} = await import("/account/receipt.js");
const curve = {name: "ECDSA", namedCurve: "P-256"};
const {publicKey, privateKey} = await crypto.subtle.generateKey(curve, true, ["sign", "verify"]);
const own = {...(await crypto.subtle.exportKey("jwk", publicKey)), kid: "own"};
const encode = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
const sign = async (kid, claims) => {
  const parts = [{alg: "ES256", typ: "erasure-receipt+jwt", kid}, {iss: "tenure", ...claims}];
  const text = parts.map((part) => encode(new TextEncoder().encode(JSON.stringify(part)))).join(".");
  const signature = await crypto.subtle.sign({name: "ECDSA", hash: "SHA-256"}, privateKey, new TextEncoder().encode(text));
  return `${text}.${encode(new Uint8Array(signature))}`;
};
const published = await (await fetch("/v1.0/erasure-keys")).json();
const reasons = [
  await verifyReceipts([await sign(kid, {})], published),
  await verifyReceipts([await sign("own", {})], published),
  await verifyReceipts([await sign("own", {supersedes: "0"})], {keys: [own]}),
].map(([{reason}]) => reason);
const expected = ["its signature does not match", "it is signed with a key", "it supersedes a receipt"];
done(reasons.map((reason, index) => (reason.startsWith(expected[index]) ? expected[index] : reason)));
"""

# The contrast (WCAG 2) of each text that is shown with the ground behind it.
CONTRASTS = """
const channels = (colour) => colour.match(/[0-9.]+/g).map(Number);
const luminance = (colour) => channels(colour).slice(0, 3).map((value) => value / 255)
  .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
const ground = (element) => {
  const colour = getComputedStyle(element).backgroundColor;
  return channels(colour)[3] === 0 ? ground(element.parentElement) : colour;
};
const shown = [...document.querySelectorAll("h1, p, label, summary, button, input")].filter((one) => one.offsetParent);
return shown.map((element) => {
  const pair = [luminance(getComputedStyle(element).color), luminance(ground(element))].sort((a, b) => b - a);
  return (pair[0] + 0.05) / (pair[1] + 0.05);
});
"""


def check(chromium, url):
    api, page = Api(url), Page(chromium, url)
    for way in (sign_up, forget, verify, sign_in):
        way(api, page)
    follow_withdrawn(api, page, leave_and_stay(api, page))
    leave_by_mail(api, page)
    ticket = leave_at_once(api, page)
    follow_the_last_mail(api, page)
    leave_and_lose_the_connection(api, page)
    refuse_changed_bytes(api, page, ticket)
    for way in (without_a_link, narrow_and_dark):
        way(api, page)
    return page.problems


# Wrong passwords, words and tickets, and used links, are tried on purpose, and a request is blocked; a frozen account shows
# nothing.
run(check, expected=["net::ERR_BLOCKED_BY_", *(f"the server responded with a status of {status}" for status in (400, 401, 403, 404))])
