"""The pages that people read: links lead somewhere, both READMEs have the same sections, commands and figures."""
import glob
import os
import re
import shlex

import pytest

from open_seq2seq.experiment.command_line import parse_command_line
from tests.paths import REPOSITORY

PAGES = sorted(os.path.relpath(path, REPOSITORY) for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "findings/*.md")
               for path in glob.glob(os.path.join(REPOSITORY, pattern)))

# records and generated pages: nothing is done with them. index.md: a list of the others
WITHOUT_COMMANDS = ("docs/architecture.md", "docs/index.md", "docs/parameters.md", "docs/troubles.md")
# pages that are one path from beginning to end
OTHER_LEADS = {"docs/troubleshooting.md": "They use five names"}
LEAD = "From nothing to the result"


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


def first_commands(page):
    """The commands of the path from nothing to the page's result."""
    text = read(page)
    lead = OTHER_LEADS.get(page, LEAD)
    assert lead in text[:2000], "%s has no copy-paste path near its top" % page
    block = re.search(r"^```bash\n(.*?)^```", text[text.index(lead):], re.M | re.S).group(1)
    return [shlex.split(line, comments=True) for line in block.replace("\\\n", " ").splitlines()]


@pytest.fixture(scope="module")
def all_flags():
    """Every --flag that a source file of the commands mentions."""
    sources = [path for pattern in ("open_seq2seq/**/*.py", "scripts/*.py", "scripts/*.sh")
               for path in glob.glob(os.path.join(REPOSITORY, pattern), recursive=True)]
    return {flag for path in sources for flag in re.findall(r"--[a-z][a-zA-Z_]*", read(os.path.relpath(path, REPOSITORY)))}


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/") and page not in WITHOUT_COMMANDS])
def test_a_page_begins_with_commands_that_exist(page, all_flags):
    """No names to fill in; programs, modes and files exist; the flags of run.py are those of its parser or keys of configs."""
    for words in first_commands(page):
        assert not [word for word in words if re.fullmatch(r".*=?(FILE|CONFIG|DIR|RUN|LOGDIR|PATH)", word) and "$" not in word]
        files = [word.split("=")[-1] for word in words if word.endswith((".sh", ".py"))]
        assert [name for name in files if not os.path.exists(os.path.join(REPOSITORY, name))] == []
        if "run.py" in words and "--help" not in words:
            arguments, _ = parse_command_line(words[words.index("run.py") + 1:])
            assert arguments.mode is not None
        elif any(word.startswith(("open_seq2seq.", "scripts/")) for word in words):
            flags = [word.split("=")[0] for word in words if word.startswith("--") and "=" not in word and word != "--"]
            assert set(flags) - all_flags == set()


def test_the_index_lists_every_page():
    listed = re.findall(r"\]\(([a-z_]+\.md)(?:#[^)]*)?\)", read("docs/index.md"))
    pages = {os.path.basename(page) for page in PAGES if page.startswith("docs/")} - {"index.md", "troubles.md"}
    assert pages - set(listed) == {"architecture.md"} - set(listed)


def anchors(page):
    """Those of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall("^#+ (.*)$", read(page), re.M)}


@pytest.mark.parametrize("page", PAGES)
def test_links_to_sections_lead_to_headings(page):
    folder = os.path.dirname(page)
    missing = []
    for target, section in re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", read(page)):
        other = os.path.normpath(os.path.join(folder, target)) if target else page
        if other.endswith(".md") and section not in anchors(other):
            missing.append("%s#%s" % (other, section))
    assert missing == []


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
