"""The real sclite (Debian package sctk) reads our files, and finds the counts that ours with its costs has."""
import os
import re
import shutil
import subprocess

import pytest

from open_seq2seq.decoding.transcript import Word
from open_seq2seq.decoding.writers import ctm_lines
from open_seq2seq.evaluation.analysis.groups import counts_of, group_of, grouping_of
from open_seq2seq.evaluation.analysis.sclite_files import sclite_word, stm_lines
from open_seq2seq.evaluation.analysis.summary import summarize
from open_seq2seq.evaluation.evaluation_files import write_evaluation_files
from open_seq2seq.evaluation.utterance_scores import realigned, score_utterance
from open_seq2seq.evaluation.word_alignment import SCLITE

PLACES = ("sclite", "/usr/lib/sctk/bin/sclite")

# what sclite interprets, costs that matter, empty texts, other scripts
PAIRS = [
    ("the cat sat on the mat", "the cat sat on mat"), ("v w x a b", "a b y z q"), ("", "um"), ("um hm", ""), ("", ""),
    ("a;b c", "a;c c"), ("a{b} c", "a{d} c"), ("{ x / y } z", "y z"), ("@ sign", "sign"), ("(uh) yes", "yes"),
    (";; no comment", ";; no comment"), ("** none", "** other"), ("don't it's", "dont it's"), ("ab- cd", "ab cd"),
    ("100% 5%3B", "100 5%3B"), ("über straße", "uber straße"), ("один два", "один три"), ("数 字", "数 子"),
    ("back\\slash \"q\"", "back/slash q"), ("word) (other", "word) (another"), ("<a> *b* [c]", "<a> b [c]"),
    ("% ^ & $ #", "% ^ & $")]


@pytest.fixture(scope="module")
def sclite():
    """Function of sclite's arguments -> its output."""
    program = next(filter(None, map(shutil.which, PLACES)), None)
    if program is None:
        message = "sclite was not found; `bash scripts/install_test_tools.sh` installs it (as root, on Debian)"
        reason = os.environ.get("JASPER_WITHOUT_CHROMIUM")  # why the script could not install what it installs
        if os.environ.get("CI") and not reason:
            pytest.fail(message)
        pytest.skip("%s (%s)" % (message, reason) if reason else message)

    def run(*arguments):
        done = subprocess.run([program] + list(arguments) + ["-e", "utf-8", "-s", "-o", "sgml", "sum", "stdout"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        output = done.stdout.decode("utf-8")
        assert done.returncode == 0 and "Warning" not in output and "Error" not in output, output[-1000:]
        return output
    return run


@pytest.fixture
def scores():
    return [score_utterance("dev.csv:%d" % place, reference, hypothesis, "wav/%d.wav" % place,
                            columns={"speaker": ["anna", "Ben 2", "ben2"][place % 3]}, duration=2.0)
            for place, (reference, hypothesis) in enumerate(PAIRS)]


def utterances(output):
    """Dict from sclite's id to its letters."""
    found = re.findall(r'<PATH id="\(([^)]+)\)".*?>\n(.*?)</PATH>', output, re.DOTALL)
    return {name.lower(): "".join(re.findall(r"(?:^|:)([CSDI]),", columns)) for name, columns in found}


def test_sclite_reads_our_transcripts_and_finds_our_counts(sclite, scores, tmp_path):
    folder = str(tmp_path)
    write_evaluation_files(folder, {}, summarize(scores), scores)
    reference, hypothesis = (os.path.join(folder, name) for name in ("ref.trn", "hyp.trn"))
    output = sclite("-r", reference, "trn", "-h", hypothesis, "trn", "-i", "rm")
    ids = [re.search(r"\((\S+)\)$", line).group(1).lower() for line in open(reference, encoding="utf-8")]
    by_sclites_costs = realigned(scores, SCLITE)
    assert utterances(output) == {name: score.operations for name, score in zip(ids, by_sclites_costs)}
    # the only difference: its costs 4/3/3 prefer three deletions and three insertions to five substitutions
    differing = [score.id for score, other in zip(scores, by_sclites_costs) if score.words != other.words]
    assert differing == ["dev.csv:1"]
    assert group_of("", by_sclites_costs).words.errors == group_of("", scores).words.errors + 1
    # the row of each speaker, and all
    speakers = grouping_of("", counts_of(by_sclites_costs), [score.columns["speaker"] for score in scores])
    rows = re.findall(r"\|\s+(\w+)\s+\|\s+(\d+)\s+(\d+)\s+\|", output)
    assert [(int(utterance), int(words)) for _, utterance, words in rows[:3]] == [
        (group.utterances, group.words.length) for group in sorted(speakers.groups, key=lambda group: group.name.lower())]


def test_sclite_leaves_out_utterances_without_a_hypothesis(sclite, scores, tmp_path):
    folder = str(tmp_path)
    write_evaluation_files(folder, {}, summarize(scores), scores)
    hypothesis = os.path.join(folder, "hyp.trn")
    with open(hypothesis, encoding="utf-8") as file:
        lines = file.readlines()
    with open(hypothesis, "w", encoding="utf-8") as file:
        file.writelines(lines[1:])
    output = sclite("-r", os.path.join(folder, "ref.trn"), "trn", "-h", hypothesis, "trn", "-i", "rm")
    assert len(utterances(output)) == len(PAIRS) - 1


def test_sclite_reads_our_times(sclite, tmp_path):
    references = [("a", "one two; three"), ("b", "four {x}")]
    (tmp_path / "ref.stm").write_text("".join(stm_lines(
        ["a", "b"], ["anna", "ben"], [3.0, 2.0], [text for _, text in references])), encoding="utf-8")
    words = {"a": ["one", "two,", "three"], "b": ["four", "{x}", "more"]}
    (tmp_path / "hyp.ctm").write_text("".join(ctm_lines(
        [Word(sclite_word(word), 0.2 + 0.5 * place, 0.6 + 0.5 * place, 0.9, ()) for place, word in enumerate(words[name])], name)
        for name in sorted(words)), encoding="utf-8")
    output = sclite("-r", str(tmp_path / "ref.stm"), "stm", "-h", str(tmp_path / "hyp.ctm"), "ctm")
    assert sorted(utterances(output).values()) == ["CCI", "CSC"]
