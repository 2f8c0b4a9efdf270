"""Headless Chromium, as the tests of pages use it."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install selenium")
CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="Chromium is not installed: apt-get install chromium chromium-driver"
)

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)

# Pages scroll on for a moment, as they lay out what comes into sight: it is scrolled to until it stays.
STAND_STILL = """
const [wanted, done] = arguments;
const at = () => `${wanted.getBoundingClientRect().left} ${wanted.getBoundingClientRect().top}`;
let place, still = 0;
(function look() {
  still = place === at() ? still + 1 : 0;
  if (!still) wanted.scrollIntoView({ block: "center", behavior: "instant" });
  place = at();
  if (still < 3) return requestAnimationFrame(look);
  const note = ({ target }) => (window.clickedOn = wanted.contains(target) || target.outerHTML);
  addEventListener("click", note, { once: true, capture: true });
  done();
})();
"""


class Browser:
    """Headless Chromium with what the tests ask of it."""

    def __init__(self, profile: Path, *flags: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=1280,900", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))

    def open(self, page: Path | str, fragment: str = "") -> float:
        """Open a file or an address anew; the seconds until it is loaded."""
        self.driver.get("about:blank")
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        began = time.perf_counter()
        self.driver.get((page.as_uri() if isinstance(page, Path) else page) + fragment)
        return time.perf_counter() - began

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, *arguments: object, seconds: float = 20.0) -> Any:
        """What a script returns once it is something."""
        deadline = time.monotonic() + seconds
        while not (found := self.run(script, *arguments)):
            assert time.monotonic() < deadline, (script, self.complaints())
            time.sleep(0.02)
        return found

    def press(self, *keys: str) -> None:
        webdriver.ActionChains(self.driver).send_keys(*keys).perform()

    def click(self, selector: str) -> None:
        """Click an element once it stands still in sight; fails where something else is clicked."""
        element = self.driver.find_element("css selector", selector)
        self.driver.execute_async_script(STAND_STILL, element)
        # Without a duration the pointer glides there for a quarter of a second, in which a page may move.
        webdriver.ActionChains(self.driver, duration=0).move_to_element(element).click().perform()
        clicked_on = self.wait("return window.clickedOn")
        assert clicked_on is True, f"not {selector} was clicked, but {clicked_on[:200]}"
        self.run("delete window.clickedOn")

    def emulate(self, width: int, scheme: str = "light", media: str = "screen") -> None:
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})

    def shows(self, element_id: str) -> bool:
        """Whether an element comes into sight and stays there."""
        script = "const r = document.getElementById(arguments[0]).getBoundingClientRect(); return [r.top, r.bottom]"
        for _ in range(30):
            time.sleep(0.1)
            top, bottom = self.run(script, element_id)
            if top >= 0 and bottom <= self.run("return innerHeight"):
                return True
        return False

    def requests(self) -> list[str]:
        """What the page asked for since it was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]
