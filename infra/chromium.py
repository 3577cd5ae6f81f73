"""Chromium as the checks of pages use it: started afresh, and asked afterwards what was wrong with a page."""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile

from selenium import webdriver

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,800"]


def program(*names):
    """The path of the first of these that is installed."""
    return next(filter(None, map(shutil.which, names)), None) or sys.exit(f"install {' or '.join(names)} first")


def browser(profile):
    """A browser with this directory as its profile."""
    options = webdriver.ChromeOptions()
    options.binary_location = program("chromium", "google-chrome", "chrome")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in [*FLAGS, f"--user-data-dir={profile}"]:
        options.add_argument(flag)
    return webdriver.Chrome(options, webdriver.ChromeService(program("chromedriver")))


def told_by(chromium, url, expected):
    """Errors of the page but those that are expected, and what it asked others for."""
    for entry in chromium.get_log("browser"):
        if entry["level"] == "SEVERE" and not any(text in entry["message"] for text in expected):
            yield entry["message"]
    for entry in chromium.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            page, asked = message["params"]["documentURL"], message["params"]["request"]["url"]
            if page.startswith(url) and not asked.startswith((url, "data:", "blob:")):
                yield f"the page asks for {asked}"


@contextlib.contextmanager
def stack():
    """The URL of the local stack: the one that the command line names, or one of its own, in memory."""
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
    """Runs a check of a browser and a stack's URL. Ends with the problems that it returns, and with what was wrong with
    the pages but for the expected."""
    with stack() as url, tempfile.TemporaryDirectory() as profile:
        chromium = browser(profile)
        try:
            problems = [*check(chromium, url), *told_by(chromium, url, expected)]
        finally:
            chromium.quit()
    sys.exit("\n".join(problems) or 0)
