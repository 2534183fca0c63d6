"""The pages that people read: links lead somewhere, both READMEs have the same sections, commands and figures."""
import glob
import os
import re

import pytest

from tests.paths import REPOSITORY

PAGES = sorted(os.path.relpath(path, REPOSITORY) for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "findings/*.md")
               for path in glob.glob(os.path.join(REPOSITORY, pattern)))


def read(page):
    with open(os.path.join(REPOSITORY, page), encoding="utf-8") as file:
        return file.read()


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_to_files(page):
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", read(page))
    folder = os.path.dirname(os.path.join(REPOSITORY, page))
    missing = [target for target in targets if "://" not in target and not os.path.exists(os.path.join(folder, target))]
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_modules_and_files_that_are_named_exist(page):
    text = read(page)
    modules = set(re.findall(r"-m (open_seq2seq(?:\.[a-z0-9_]+)+)(?![.\w]*[A-Z])", text))
    paths = set(re.findall(r"`((?:open_seq2seq|scripts|configs|benchmarks|docs|tests)/[\w/.-]+\.(?:py|sh|md|txt|json))`", text))
    missing = [name for name in modules
               if not (os.path.exists(os.path.join(REPOSITORY, *name.split(".")) + ".py")
                       or os.path.exists(os.path.join(REPOSITORY, *name.split("."), "__main__.py")))]
    missing += [path for path in paths if not os.path.exists(os.path.join(REPOSITORY, path))]
    assert not missing


def test_both_readmes_have_the_same_sections_links_code_and_figures():
    def facts(page):
        text = read(page)
        cells = [re.findall(r"\d+(?:[.,]\d+)*", line) for line in text.splitlines() if line.startswith("|")]
        return {"sections": len(re.findall("^## ", text, re.M)), "links": sorted(set(re.findall(r"\]\(([^)]+)\)", text))
                                                                                - {"README.md", "README.zh.md"}),
                "code": sorted(set(re.findall(r"`([^`\n]+)`", text))), "figures": [sorted(row) for row in cells]}
    english, chinese = facts("README.md"), facts("README.zh.md")
    for name in english:
        assert english[name] == chinese[name], name


def test_the_architecture_page_names_every_package_and_only_modules_that_exist():
    page, root = read("docs/architecture.md"), os.path.join(REPOSITORY, "open_seq2seq")
    packages = [os.path.relpath(folder, root) for folder, _, files in os.walk(root) if "__init__.py" in files and folder != root]
    assert [name for name in packages if "`%s/`" % name not in page] == []
    named = re.findall(r"`((?:[a-z0-9_]+/)*[a-z0-9_]+\.py)`", page)
    assert [name for name in named if not any(os.path.exists(os.path.join(place, name)) for place in (REPOSITORY, root))] == []
