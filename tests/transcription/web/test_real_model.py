"""The page of a trained network shows the text that the command line prints."""
import os
import re
import signal
import subprocess
import sys

import pytest

from open_seq2seq.data.importers.digit_strings import DIGIT_WORDS
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "open_seq2seq.transcribe"]


@pytest.fixture
def served(trained_digits, tmp_path):
    """The process that serves the page for the trained network; its address is ``url``."""
    environment = dict(os.environ, PYTHONPATH=REPOSITORY, TMPDIR=str(tmp_path), PYTHONUNBUFFERED="1")
    process = subprocess.Popen(COMMAND + ["--serve", "--port", "0", "--model", str(trained_digits.run)], env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    line = process.stdout.readline()
    process.url = re.search("http://[^ ]+/", line).group() if "http://" in line else pytest.fail(line + process.stderr.read())
    yield process
    process.kill()
    process.communicate()


def test_page_shows_what_the_command_line_prints(served, trained_digits, browser, tmp_path):
    recordings = [str(trained_digits.folder / "dev" / ("%06d.wav" % i)) for i in range(3)]
    printed = subprocess.run(COMMAND + recordings + ["--model", str(trained_digits.run)], cwd=REPOSITORY, capture_output=True,
                             text=True, timeout=300).stdout.splitlines()
    assert len(printed) == len(recordings)
    tab = browser()
    tab.open(served.url)
    for i, recording in enumerate(recordings):
        tab.choose_files("#file", recording)
        tab.wait_for("document.querySelectorAll('#list .done').length === %d" % (i + 1))
    for i, line in enumerate(printed):
        text = line.partition("\t")[2]
        assert set(text.split()) & set(DIGIT_WORDS), "the network recognizes no digit"
        tab.click("#list li:nth-child(%d) .name" % (len(recordings) - i))      # the newest comes first
        tab.wait_for("document.querySelector('#result_name').textContent === '%06d.wav'" % i)
        assert tab.evaluate("document.querySelector('#transcript').innerText.trim()") == text
    assert tab.problems() == []
    served.send_signal(signal.SIGINT)
    output, errors = served.communicate(timeout=120)
    assert served.returncode == 0 and "Traceback" not in errors, errors
    assert [name for name in os.listdir(str(tmp_path)) if name.startswith("jasper-web-")] == []
