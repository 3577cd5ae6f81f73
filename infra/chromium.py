"""Chromium as the checks of pages use it: started afresh, and asked afterwards what was wrong with a page."""

import json
import shutil
import sys

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


def told_by(chromium, url, expected=()):
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
