"""docs/ascend.md: every promise names the tests that show it, or says that nothing does."""
import os
import re

from tests.paths import REPOSITORY


def test_every_promise_is_shown_by_a_test_that_exists_or_marked():
    with open(os.path.join(REPOSITORY, "docs", "ascend.md"), encoding="utf-8") as file:
        section = file.read().partition("## What is shown, and what is not\n")[2]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 15
    for promise, shown in rows:
        names = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown)
        assert names or "measured with the adapter" in shown or "not shown" in shown, promise
        for path, name in names:
            with open(os.path.join(REPOSITORY, path), encoding="utf-8") as file:
                assert re.search(r"^def %s\(" % name, file.read(), re.MULTILINE), (path, name)
