"""Drives a headless Chromium through the DevTools protocol, over a pair of pipes: no port, no driver program, no package."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT = 120.0                        # seconds for any answer; a machine with other work is slow
POLL = 0.05

_MIDDLE = """(element => {
    element.scrollIntoView({block: "center"});
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
})(document.querySelector(%s))"""


def find_chromium():
    """Path of the browser, or None."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Chromium:
    """A browser with a profile of its own and one page.

    Args:
      flags: further command-line flags.
      size: (width, height) of the window in pixels.
    """

    def __init__(self, flags=(), size=(1100, 1000)):
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        command = [find_chromium(), "--headless=new", "--no-sandbox", "--remote-debugging-pipe",
                   "--user-data-dir=" + self._profile, "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                   "--disable-background-networking", "--disable-component-update",
                   "--autoplay-policy=no-user-gesture-required", "--mute-audio",
                   "--window-size=%d,%d" % size]
        read_commands, self._commands = os.pipe()
        self._answers, write_answers = os.pipe()
        self._log = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            command + list(flags), stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, close_fds=False,
            preexec_fn=lambda: _become_3_and_4(read_commands, write_answers))
        os.close(read_commands)
        os.close(write_answers)
        self._buffer, self._number, self._session = b"", 0, None
        self.events = []               # all events of the page
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
            self.call(domain + ".enable")

    def call(self, method, **parameters):
        """Sends a command and returns its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._receive(deadline, method)
            if answer.get("id") == self._number:
                assert "error" not in answer, "%s: %s" % (method, answer["error"])
                return answer["result"]
            self.events.append(answer)

    def open(self, url):
        """Loads a page."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression):
        """The value of a JavaScript expression (or of its promise) in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in answer, "%s: %s" % (expression, answer["exceptionDetails"])
        return answer["result"].get("value")

    def wait_for(self, condition):
        """Asks until the JavaScript expression ``condition`` is truthy."""
        deadline = time.monotonic() + TIMEOUT
        while not self.evaluate("!!(%s)" % condition):
            assert time.monotonic() < deadline, "%s did not come true; the page says:\n%s\n%s" % (
                condition, self.evaluate("document.body.innerText"), self.problems())
            time.sleep(POLL)

    def wait_for_event(self, method, **parameters):
        """Waits for an event with these parameters and returns all of its parameters."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            for event in self.events:
                if event.get("method") == method and parameters.items() <= event["params"].items():
                    return event["params"]
            assert time.monotonic() < deadline, "%s %s did not come" % (method, parameters)
            time.sleep(POLL)
            self.evaluate("1")

    def click(self, selector):
        """Clicks the middle of an element with the mouse, so that what covers it is clicked instead."""
        x, y = self.evaluate(_MIDDLE % json.dumps(selector))
        self.click_at(x, y)

    def click_at(self, x, y):
        """Clicks a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Presses a key that writes nothing, e.g. "ArrowRight"."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key)

    def choose_files(self, selector, *paths):
        """Puts files into a file input, as its dialog would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path) for path in paths])

    def screenshot(self, path, scheme="light"):
        """Writes the whole page as PNG."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        picture = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        with open(str(path), "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def problems(self):
        """What the page complained about: exceptions, violated security policy, failed requests' log entries."""
        self.evaluate("1")             # what is on its way arrives first
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                details = event["params"]["exceptionDetails"]
                found.append(details.get("exception", {}).get("description") or details["text"])
            elif event.get("method") == "Log.entryAdded" and event["params"]["entry"]["level"] == "error":
                found.append(event["params"]["entry"]["text"])
        return found

    def requested_addresses(self):
        """Every address that the page asked for."""
        return [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]

    def close(self):
        """Ends the browser and removes its profile."""
        self._process.kill()
        self._process.wait()
        for descriptor in (self._commands, self._answers):
            os.close(descriptor)
        self._log.close()
        shutil.rmtree(self._profile, ignore_errors=True)

    def _receive(self, deadline, method):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._answers], [], [], max(deadline - time.monotonic(), 0))
            block = os.read(self._answers, 1 << 16) if ready else b""
            if not block:
                self._log.seek(0)
                raise AssertionError("Chromium %s after %s:\n%s" % (
                    "ended" if ready else "did not answer", method, self._log.read().decode("utf-8", "replace")[-3000:]))
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message.decode("utf-8"))


def _become_3_and_4(read_commands, write_answers):
    """The browser reads commands from descriptor 3 and writes answers to 4."""
    # out of the way first: one of them may be 3 or 4 itself
    read_commands, write_answers = (fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in (read_commands, write_answers))
    os.dup2(read_commands, 3)
    os.dup2(write_answers, 4)
    os.set_inheritable(3, True)
    os.set_inheritable(4, True)
