"""A page in headless Chromium, spoken to over a pipe: what it asks for, what it complains about, how wide it is."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {"laptop": (1280, 900), "phone": (390, 844)}
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_OPTIONS += ("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--remote-debugging-pipe")


@dataclass
class Page:
    """One page. `requests` are the addresses it asked for, `errors` what the console showed."""

    send: Any
    width: int = 0
    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def resize(self, size: str) -> None:
        """Show the page at a size of SIZES."""
        self.width, height = SIZES[size]
        screen = {"width": self.width, "height": height, "deviceScaleFactor": 1, "mobile": self.width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **screen)
        self.wait()

    def wait(self) -> None:
        """Give the page the time to draw."""
        self.evaluate("new Promise(done => setTimeout(() => requestAnimationFrame(done), 300))")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def overflow(self) -> float:
        """Return by how many pixels the page, or a paragraph of it, is wider than the screen."""
        # a phone zooms out until a page that is too wide fits: only the size that was asked for stays as it is
        page = "document.documentElement"
        ends = "[...document.querySelectorAll('p')].map(text => text.getBoundingClientRect().right)"
        widest = f"Math.max({page}.scrollWidth, ...{ends})"
        return self.evaluate(f"{widest} - Math.min({page}.clientWidth, {self.width})")

    def screenshot(self, path: Path, whole: bool = False) -> None:
        picture = self.send("Page.captureScreenshot", captureBeyondViewport=whole, **self._clip(whole))
        path.write_bytes(base64.b64decode(picture["data"]))

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": size | {"scale": 1}}

    def notice(self, event: dict[str, Any]) -> None:
        values = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requests.append(values["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(json.dumps(values["exceptionDetails"])[:500])
            case "Runtime.consoleAPICalled" if values["type"] in ("error", "assert"):
                self.errors.append(json.dumps(values["args"])[:500])
            case "Log.entryAdded" if values["entry"]["level"] == "error":
                self.errors.append(values["entry"]["text"])


@contextmanager
def opened(path: Path, size: str = "laptop") -> Iterator[Page]:
    """Open a file at a size of SIZES, and wait until it has loaded."""
    (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # a browser reads commands from descriptor 3 and answers on 4
        shell = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = ["bash", "-c", shell, "bash", CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), start_new_session=True, **quiet)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            with os.fdopen(ours_in, "rb") as answers, os.fdopen(ours_out, "wb") as commands:
                yield _load(_Pipe(answers, commands), path, size)
        finally:
            process.terminate()
            process.wait(30)


class _Pipe:
    """Commands and events of the devtools protocol, each ended by a zero byte."""

    def __init__(self, answers, commands) -> None:
        self.answers, self.commands = answers, commands
        self.count, self.rest, self.session, self.page = 0, b"", None, None

    def send(self, method: str, **parameters) -> dict[str, Any]:
        """Send a command, and return its result once it is there."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        answer = self.receive(lambda entry: entry.get("id") == self.count)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    def receive(self, wanted) -> dict[str, Any]:
        while True:
            while b"\0" not in self.rest:
                more = os.read(self.answers.fileno(), 1 << 20)
                assert more, "Chromium ended before it answered"
                self.rest += more
            text, _, self.rest = self.rest.partition(b"\0")
            entry = json.loads(text)
            if self.page:
                self.page.notice(entry)
            if wanted(entry):
                return entry


def _load(pipe: _Pipe, path: Path, size: str) -> Page:
    target = pipe.send("Target.createTarget", url="about:blank")["targetId"]
    pipe.session = pipe.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    page = pipe.page = Page(pipe.send)
    for domain in ("Page", "Runtime", "Log", "Network"):
        pipe.send(f"{domain}.enable")
    page.resize(size)
    pipe.send("Page.navigate", url=path.resolve().as_uri())
    page.evaluate("new Promise(done => document.readyState == 'complete' ? done() : addEventListener('load', done))")
    page.wait()
    return page
