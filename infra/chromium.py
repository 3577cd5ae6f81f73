"""Chromium as the checks of pages use it: started afresh, and asked afterwards what was wrong with a page."""

import base64
import contextlib
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from selenium import webdriver
from selenium.webdriver.common.keys import Keys

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,800"]


# Where pictures of pages are put, for people to look at.
PICTURES = pathlib.Path(__file__).parent.parent / "target/tmp/pages"
# Width and height of a screen and of a telephone.
SCREENS = [("wide", 1280, 800), ("narrow", 360, 720)]

RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
  ({violations}) => done(violations.map(({id, help, nodes}) => `${id}: ${help}: ${nodes.map(({html}) => html).join(" ")}`)),
  (error) => done([`axe: ${error}`]),
);
"""


def program(*names):
    """Returns the path of the first of these programs that is installed."""
    return next(filter(None, map(shutil.which, names)), None) or sys.exit(f"install {' or '.join(names)} first")


def browser(profile):
    """Starts a browser with this directory as its profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "google-chrome", "chrome")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(program("chromedriver")))


def told_by(chromium, url, expected):
    """Yields errors in the browser's console that are not expected, and requests of the page to other hosts."""
    for entry in chromium.get_log("browser"):
        if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in expected):
            yield entry["message"]
    for entry in chromium.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            page, asked = message["params"]["documentURL"], message["params"]["request"]["url"]
            if page.startswith(url) and not asked.startswith((url, "data:", "blob:")):
                yield f"the page asks for {asked}"


def violations(chromium):
    """Returns what axe-core finds wrong with the page as it is now. axe-core is a script in a package of
    infra/requirements/axe.txt, from which nothing is imported."""
    if not chromium.execute_script("return typeof axe === 'object'"):
        package = importlib.util.find_spec("axe_playwright_python") or sys.exit("install infra/requirements/axe.txt first")
        chromium.execute_script(pathlib.Path(package.origin).with_name("axe.min.js").read_text())
    return chromium.execute_async_script(RUN_AXE)


def command(chromium, name, **parameters):
    """Sends a command of the DevTools protocol."""
    return chromium.execute_cdp_cmd(name, parameters)


def look(chromium, name):
    """Takes pictures of the page as it is now, light and dark, on a wide and on a narrow screen. Returns what is wrong with
    it: what axe-core finds, and that it is wider than the screen."""
    problems = []
    PICTURES.mkdir(parents=True, exist_ok=True)
    for screen, width, height in SCREENS:
        command(chromium, "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        for scheme in ("light", "dark"):
            command(chromium, "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            problems += [f"{name}, {screen}, {scheme}: {problem}" for problem in violations(chromium)]
            picture = command(chromium, "Page.captureScreenshot", captureBeyondViewport=True)["data"]
            (PICTURES / f"{name}-{screen}-{scheme}.png").write_bytes(base64.b64decode(picture))
        actual = chromium.execute_script("return document.documentElement.scrollWidth")
        problems += [f"{name} is {actual} wide on a screen of {width}"] if actual > width else []
    command(chromium, "Emulation.clearDeviceMetricsOverride")
    command(chromium, "Emulation.setEmulatedMedia", features=[])
    return problems


class OpenPage:
    """The page that is open, used by keyboard, and the problems found on it. Subclasses define `reach`."""

    def __init__(self, chromium, url):
        self.chromium, self.url, self.problems = chromium, url, []

    def look(self, name):
        """Takes pictures, and notes what is wrong."""
        self.problems += look(self.chromium, name)

    def press(self, *keys):
        webdriver.ActionChains(self.chromium).send_keys(*keys).perform()

    def type(self, target, text):
        """Focuses this field, and replaces its text."""
        self.reach(target)
        keys = webdriver.ActionChains(self.chromium)
        keys.key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL).send_keys(text).perform()


def step(text):
    print(f"== {text}", flush=True)


@contextlib.contextmanager
def stack():
    """Yields the URL of the local stack that the command line names, or of a new one in memory, which it then stops."""
    if len(sys.argv) > 1:
        yield sys.argv[1]
        return
    command = ["cargo", "local", "--in-memory", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield next(line.split()[-1] for line in process.stdout if line.startswith("listening on "))
    finally:
        process.terminate()
        process.wait()


def run(check, expected):
    """Runs `check` with a browser and a stack's URL, and exits with the problems that it returns and those of the
    pages, except expected errors."""
    with stack() as url, tempfile.TemporaryDirectory() as profile:
        chromium = browser(profile)
        try:
            problems = [*check(chromium, url), *told_by(chromium, url, expected)]
        finally:
            chromium.quit()
    sys.exit("\n".join(problems) or 0)
