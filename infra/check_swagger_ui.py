"""Opens the local stack's /docs in Chromium and presses *Execute* on every operation that needs no id and no ticket.

    pip install --require-hashes -r infra/requirements/swagger_ui.txt
    python3 infra/check_swagger_ui.py
    python3 infra/check_swagger_ui.py http://127.0.0.1:3000   # a stack that runs already, and is new

Needs Chromium or Chrome, and its chromedriver (Debian: chromium, chromium-driver); takes half a minute. Nothing is typed: the operator and then the customer of the
examples log in, and every operation is answered by 200 at the first click by one of them, or by 400 where its token comes
by mail and the example's is nobody's. Fails on any other answer, and if the page has an error or asks another host for something.
"""

import json
import urllib.request

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from chromium import run

# Tags of the operations that the operator executes; the customer executes the rest.
OPERATOR = ["Customers", "Erasure", "Participants"]
# Operations that are executed before all others, in this order.
FIRST = ["login", "createCustomer", "setParticipant"]
# Operations that are executed after all others: these end the session, or what others need.
LAST = ["unregister", "recover", "logout"]
LAST_OF_OPERATOR = ["deleteParticipant"]


def operations(url):
    """Yields tag and name of every operation that needs no id and no ticket."""
    with urllib.request.urlopen(f"{url}/openapi.json") as answer:
        paths = json.load(answer)["paths"]
    for path, item in paths.items():
        for operation in item.values():
            if not any(part in path for part in ("{id}", "{ticket}")) and "operationId" in operation:
                yield operation["tags"][0], operation["operationId"]


class Page:
    def __init__(self, chromium, url):
        self.chromium = chromium
        chromium.get(f"{url}/docs")

    def wait(self, what):
        return WebDriverWait(self.chromium, 20, poll_frequency=0.05).until(what)

    def block(self, tag, name):
        """Opens an operation if it is closed, and returns its element."""
        selector = f"[id='operations-{tag.replace(' ', '_')}-{name}']"
        block = self.wait(lambda page: page.find_element(By.CSS_SELECTOR, selector))
        if "is-open" not in block.get_attribute("class"):
            self.click(block.find_element(By.CSS_SELECTOR, ".opblock-summary-control"))
        return block

    def click(self, element):
        self.chromium.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def execute(self, tag, name, example=None):
        """Presses *Execute* of an operation; returns the status and body of the answer."""
        block = self.block(tag, name)
        if example:
            select = self.wait(lambda _: block.find_element(By.CSS_SELECTOR, ".opblock-section-request-body .examples-select-element"))
            Select(select).select_by_value(example)
        for clear in block.find_elements(By.CSS_SELECTOR, ".btn-clear"):
            self.click(clear)
        self.click(self.wait(lambda _: block.find_element(By.CSS_SELECTOR, ".execute")))
        live = self.wait(lambda _: block.find_element(By.CSS_SELECTOR, ".live-responses-table .response .response-col_status"))
        status = live.text.split()[0]
        body = block.find_element(By.CSS_SELECTOR, ".live-responses-table .response .response-col_description").text
        # Each open operation makes every later click slower.
        self.click(block.find_element(By.CSS_SELECTOR, ".opblock-summary-control"))
        self.wait(lambda _: "is-open" not in block.get_attribute("class"))
        return status, body


# Operations whose token comes by mail, so that the one of the example is refused; and the path in the browser's error.
BY_MAIL = {
    "verifyEmail": "/auth/email-verify - ",
    "resetPassword": "/auth/password-reset - ",
    "unregisterByLink": "/auth/unregister-by-link - ",
}


def check(page, url):
    problems = []

    def expect(tag, name, example=None):
        status, body = page.execute(tag, name, example)
        print(f"{name}: {status}", flush=True)
        if status != ("400" if name in BY_MAIL else "200"):
            problems.append(f"{name} is answered by {status}: {body}")
        return body

    found = list(operations(url))
    tag_of = {name: tag for tag, name in found}
    of_operator = [name for tag, name in found if tag in OPERATOR and name not in [*FIRST, *LAST_OF_OPERATOR]]
    for name in [*FIRST, *of_operator, *LAST_OF_OPERATOR]:
        expect(tag_of[name], name)
    expect(tag_of["login"], "login", "customer")
    rest = [name for tag, name in found if tag not in OPERATOR and name not in [*FIRST, *LAST]]
    for name in rest:
        body = expect(tag_of[name], name)
        if name == "testWebhook" and expect(tag_of[name], name) == body:
            problems.append("a second click repeats the first: it has the same idempotency key")
    for name in LAST:
        expect(tag_of[name], name)
    return problems


run(lambda chromium, url: check(Page(chromium, url), url), expected=BY_MAIL.values())
