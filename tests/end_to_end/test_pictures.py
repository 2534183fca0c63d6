"""The pictures of the pages: small enough, shown somewhere, and all of them made by scripts/make_pictures.py."""
import glob
import os
import re
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY

IMAGES = os.path.join(REPOSITORY, "docs", "images")
LARGEST = 200000


def make_pictures(*words):
    return subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts", "make_pictures.py")] + list(words),
                          capture_output=True, text=True)


def test_pictures_are_small_shown_and_made_by_the_script():
    pictures = {os.path.basename(path)[:-4]: os.path.getsize(path) for path in glob.glob(os.path.join(IMAGES, "*.png"))}
    assert pictures and max(pictures.values()) < LARGEST
    listed = re.search(r"--only NAME,\.\.\.\s+only these: (.*)", " ".join(make_pictures("--help").stdout.split())).group(1)
    assert set(pictures) == set(re.findall(r"[a-z_]+", listed.split(" -h")[0]))
    pages = "".join(open(path, encoding="utf-8").read() for path in glob.glob(os.path.join(REPOSITORY, "docs", "*.md")))
    assert {name for name in pictures if "images/%s.png" % name not in pages} == set()


@pytest.mark.parametrize("words, status, message", [
    (["--only=web_page,selfie"], 2, "selfie is not a picture; expected some of"),
    (["--corpus=nowhere"], 3, "nowhere/train.csv does not exist. `bash scripts/quickstart.sh` makes"),
])
def test_wrong_arguments(words, status, message):
    done = make_pictures(*words)
    assert done.returncode == status and message in done.stderr


@pytest.mark.slow
def test_the_web_page_is_photographed(browser, trained_digits, tmp_path):
    done = make_pictures("--only=web_page", "--corpus=%s" % trained_digits.folder, "--model=%s" % trained_digits.run,
                         "--output=%s" % tmp_path)
    assert done.returncode == 0, done.stderr
    from PIL import Image
    with Image.open(str(tmp_path / "web_page.png")) as picture:
        # the spectrogram: many colors between black and yellow
        assert picture.size[0] > 1000 and picture.size[1] > 500 and len(picture.getcolors()) > 50
