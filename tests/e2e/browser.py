"""A small headless Chromium for the tests: Debian's browser and driver, a fresh profile, and a log of every request.

Nothing is downloaded: Selenium is told where both binaries are. Where they are missing, tests skip and say so; with
--no-skips they fail.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM = Path("/usr/bin/chromium")
DRIVER = Path("/usr/bin/chromedriver")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
)
SECONDS = 30

T = TypeVar("T")


class Browser:
    """A page in a browser: open, wait for something, read it, and ask which requests were made."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._requests: list[str] = []

    def open(self, url: str) -> None:
        self.driver.get(url)

    def until(self, condition: Callable[[], T], what: str, seconds: float = SECONDS) -> T:
        """The first true value of `condition`; fails with what was waited for and what the browser complained of."""
        try:
            return WebDriverWait(self.driver, seconds, 0.05, [StaleElementReferenceException, IndexError]).until(
                lambda _: condition()
            )
        except Exception as error:
            raise AssertionError(
                f"not within {seconds} s: {what}; at {self.driver.current_url}; {self.complaints()}"
            ) from error

    def find(self, selector: str) -> WebElement:
        """The first element of a CSS selector, waited for."""
        return self.until(lambda: self.all(selector)[0], f"an element {selector}")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def click(self, selector: str, text: str = "") -> None:
        """Click the first element in sight of a CSS selector, with this text if one is given; waited for."""

        def clicked() -> bool:
            for element in self.all(selector):
                if element.is_displayed() and text in ("", element.text):
                    element.click()
                    return True
            return False

        self.until(clicked, f"{selector} {text} to click")

    def exact(self, element_id: str) -> str:
        """The exact decimal of a headline figure, once it is there."""
        return self.until(
            lambda: self.all(f"#{element_id}[data-exact]")[0].get_attribute("data-exact"), f"a figure in #{element_id}"
        )

    def complaints(self) -> list[str]:
        """Errors in the browser's console so far."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] == "SEVERE"]

    def requests(self) -> list[str]:
        """The addresses of all requests that pages have made, in order, data: and blob: left out."""
        for entry in self._log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._requests.append(message["params"]["request"]["url"])
        return [url for url in self._requests if urlsplit(url).scheme not in ("data", "blob", "chrome")]

    def _log(self, name: str) -> list[dict[str, Any]]:
        driver: Any = self.driver
        return list(driver.get_log(name))

    def shot(self, path: Path, *, full: bool = True) -> None:
        """A PNG of the page, all of its height when `full`."""
        if full:
            height = self.driver.execute_script("return document.documentElement.scrollHeight")
            width = self.driver.get_window_size()["width"]
            self.driver.set_window_size(width, max(height, 500))
        self.driver.save_screenshot(str(path))


@contextmanager
def browser(*, width: int = 1440, height: int = 900, dark: bool = False) -> Iterator[Browser]:
    """A fresh browser, gone afterwards. `dark` is what the operating system would prefer."""
    if not (CHROMIUM.exists() and DRIVER.exists()):
        missing = f"{CHROMIUM} or {DRIVER} is missing: apt-get install chromium chromium-driver"
        pytest.skip(missing)
    with tempfile.TemporaryDirectory(prefix="tollway-browser-", ignore_cleanup_errors=True) as profile:
        options = Options()
        options.binary_location = str(CHROMIUM)
        for flag in (*FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}"):
            options.add_argument(flag)
        if dark:
            options.add_argument("--force-dark-mode")
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
        try:
            # Chromium's window has a least width of 500; the viewport itself may be as narrow as a phone.
            driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
            )
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
            yield Browser(driver)
        finally:
            driver.quit()
