"""Goes the way of a new customer through the pages that links in mail open, in Chromium, by keyboard alone.

    pip install --require-hashes -r infra/requirements/swagger_ui.txt
    python3 infra/check_account_pages.py
    python3 infra/check_account_pages.py http://127.0.0.1:3000   # a stack that runs already

Needs Chromium or Chrome, and its chromedriver (Debian: chromium, chromium-driver); takes half a minute. A sign-up, a forgotten
password and an address that an operator entered: each link is taken from the stack's mail. Fails if a page has an error,
breaks its own policy, asks another host for something, keeps the token in the address bar, or acts before its reader does.
"""

import json
import urllib.error
import urllib.request

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from chromium import run

OPERATOR = ("admin@localhost", "local-admin-password")
ADDRESS = "ann@example.com"
FIRST, SECOND = "correct horse battery staple", "four other words entirely"


class Api:
    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None, token=None):
        """Status and body of an answer."""
        headers = {"content-type": "application/json"} if body is not None else {}
        if token:
            headers["authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as answer:
            return answer.code, json.load(answer)

    def ok(self, *arguments):
        status, body = self.call(*arguments)
        assert status == 200, (arguments, status, body)
        return body

    def login(self, username, password):
        return self.call("POST", "/auth/login", {"username": username, "password": password})

    def link(self, address):
        """The link in the newest message to an address."""
        self.ok("POST", "/_local/settle")
        self.ok("POST", "/_local/schedules/MailSendFunctionSchedule/run")
        messages = [one for one in self.ok("GET", "/_local/mail")["mail"] if one["to"] == [address]]
        (link,) = [word for word in messages[-1]["text"].split() if "/account/" in word and "#token=" in word]
        # The stack is where it listens, whatever its mail says.
        return self.url + link[link.index("/account/"):]


class Page:
    """The page that is open, its reader's keyboard and what it says."""

    def __init__(self, chromium):
        self.chromium = chromium

    def open(self, link):
        # Else only the fragment would change, and the page would stay.
        self.chromium.get("about:blank")
        self.chromium.get(link)
        self.wait(lambda page: page.find_element(By.ID, "form").is_displayed())
        assert "token" not in self.chromium.current_url, "the token stays in the address bar"

    def wait(self, what):
        return WebDriverWait(self.chromium, 20, poll_frequency=0.05).until(what)

    def focus(self):
        return self.chromium.switch_to.active_element

    def press(self, *keys):
        webdriver.ActionChains(self.chromium).send_keys(*keys).perform()

    def reach(self, selector):
        """Presses Tab until this has the focus."""
        wanted = self.chromium.find_element(By.CSS_SELECTOR, selector)
        for _ in range(12):
            if self.focus() == wanted:
                return wanted
            self.press(Keys.TAB)
        raise AssertionError(f"{selector} cannot be reached by keyboard")

    def type(self, selector, text):
        self.reach(selector)
        keys = webdriver.ActionChains(self.chromium)
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text).perform()

    def send(self):
        self.reach("button[type=submit]")
        self.press(Keys.ENTER)

    def says(self, element, *words):
        """Waits until this element has text; it has these words."""
        text = self.wait(lambda page: page.find_element(By.ID, element).text)
        assert all(word in text for word in words), text
        return text

    def finished(self):
        """Waits until the page says that it is done, and has moved the focus there."""
        self.wait(lambda page: page.find_element(By.ID, "done").is_displayed())
        assert self.focus().get_attribute("id") == "done-title"
        assert not self.chromium.find_element(By.ID, "form").is_displayed()
        return self.chromium.find_element(By.ID, "done").text


def step(text):
    print(f"== {text}", flush=True)


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


def without_a_link(api, page):
    step("open the page without its link")
    page.chromium.get(f"{api.url}/account/verify")
    page.says("problem", "without its link")
    assert not page.chromium.find_element(By.ID, "form").is_displayed()


def narrow_and_dark(api, page):
    step("a narrow screen, light and dark")
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.chromium.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page.chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True})
        for name in ("verify", "reset"):
            page.open(f"{api.url}/account/{name}#token=x&for=signup")
            width = page.chromium.execute_script("return document.documentElement.scrollWidth")
            assert width <= 320, f"{name} is {width} wide"
            contrasts = page.chromium.execute_script(CONTRASTS)
            assert min(contrasts) >= 4.5, f"{name}, {scheme}: {contrasts}"


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
    api, page = Api(url), Page(chromium)
    for way in (sign_up, forget, verify, without_a_link, narrow_and_dark):
        way(api, page)
    return []


# Wrong passwords and used links are tried on purpose.
run(check, expected=["the server responded with a status of 400"])
