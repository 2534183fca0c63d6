"""What the page of an evaluation contains: its data, its distributions, its recordings; nothing in it can break the page."""
import base64
import html.parser
import io
import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from open_seq2seq.data.audio.embedding import audio_address
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.report.comparison import comparison_content
from open_seq2seq.evaluation.report.content import (
    audio_addresses,
    distributions,
    round_limits,
    unit_of,
    utterance_columns,
    word_tables,
)
from open_seq2seq.evaluation.report.page import json_in_html
from open_seq2seq.evaluation.report.posteriors import PosteriorCollector, posteriors_of
from open_seq2seq.evaluation.report.recordings import (
    chosen_utterances,
    embedded_recordings,
    posteriors_picture,
    random_utterances,
    words_of_best_path,
)
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.evaluation.word_alignment import EditCounts


class _Scripts(html.parser.HTMLParser):
    """The elements of the page as a browser reads it: contents of scripts by id, and which elements there are."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.scripts, self.tags, self._open = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self._open = dict(attributes).get("id", "code") if tag == "script" else None

    def handle_data(self, data):
        if self._open is not None:
            self.scripts[self._open] = self.scripts.get(self._open, "") + data

    def handle_endtag(self, tag):
        self._open = None


@pytest.mark.parametrize("text", [
    "</script><script>alert(1)</script>", "<!-- <script>", "]]>&amp;&lt;", "a\u2028b\u2029c", "\udcff.wav",
    "\"quoted\" \\ 'x'", "\0\x1f", "\U0001f600 שלום"])
def test_any_text_survives_the_page(text):
    stored = json_in_html({text: [text]})
    assert json.loads(stored) == {text: [text]}
    stored.encode("utf-8")
    assert not set(stored) & set("<>&\u2028\u2029")


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError):
        json_in_html([float("nan")])


def test_page_holds_the_data_and_nothing_else_is_loaded(write, scored):
    written = write(scored(), embedded=[0, 1, 2])
    text = written.path.read_text(encoding="utf-8")
    page = _Scripts(text)
    assert json.loads(page.scripts["evaluation"]) == json.loads(json.dumps(written.content))
    assert json.loads(page.scripts["recording-1"]) == json.loads(json.dumps(written.recordings[1]))
    assert page.tags.count("script") == 5 and "link" in page.tags and "img" not in page.tags
    columns = written.content["columns"]
    assert {len(column) for column in columns.values()} == {len(written.scores)}
    assert columns["loss"][1] is None and columns["operations"][:3] == ["CSC", "CDC", "CIC"]
    assert columns["other_rate"][4] is None and columns["other_rate"][5] == 0.0
    assert written.content["labels"][0]["name"] == "speaker" and written.content["labels"][0]["values"] == ["s0", "s1", "s2"]
    # the rows come before the recordings, which take the longest to read
    assert text.index('id="evaluation"') < text.index("document.documentElement.dataset.ready") < text.index("recording-0")
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "") and "https:" not in text


def test_errors_by_word():
    scores = [score_utterance("a", "one two two", "one tree two"), score_utterance("b", "two one", "tree one uh"),
              score_utterance("c", "two four", "two")]
    assert word_tables(scores, "word", [score.operations for score in scores]) == {
        "confusions": [["two", "tree", 2]], "damaged": [["two", 2, 4], ["four", 1, 1]], "deleted": [["four", 1]],
        "inserted": [["uh", 1]]}


def test_distributions_count_every_utterance_once():
    generator = np.random.RandomState(0)
    scores = []
    for number in range(200):
        words = ["w%d" % word for word in generator.randint(0, 50, generator.randint(1, 30))]
        heard = [word for word in words if generator.rand() > 0.3 * generator.rand()]
        scores.append(score_utterance("u%d" % number, " ".join(words), " ".join(heard), duration=0.3 * len(words) + 1.0))
    scores += [score_utterance("e", "", "uh", duration=1.0), score_utterance("f", "", "", duration=1.0),
               score_utterance("g", "one", "one", duration=None)]
    by_rate, by_duration, by_speaking_rate = distributions(scores, "word")
    assert [chart["key"] for chart in (by_rate, by_duration, by_speaking_rate)] == ["rate", "duration", "speaking_rate"]
    assert sum(bar["utterances"] for bar in by_rate["bars"]) == 203 and len(by_rate["bars"]) == 12
    assert by_rate["bars"][0]["height"] == sum(score.is_correct for score in scores)
    assert by_rate["bars"][-1]["label"] == "100 % and more" and by_rate["bars"][-1]["height"] >= 1
    assert sum(bar["utterances"] for bar in by_duration["bars"]) == 202
    errors = sum(bar["height"] * sum(score.words.length for score in scores if score.duration is not None and (
        bar["from"] is None or score.duration >= bar["from"]) and (bar["to"] is None or score.duration < bar["to"]))
        for bar in by_duration["bars"])
    assert errors == pytest.approx(sum(score.words.errors for score in scores if score.duration is not None))
    assert all(bar["low"] <= bar["height"] <= bar["high"] for bar in by_duration["bars"])
    assert max(bar["utterances"] for bar in by_duration["bars"]) < 60


@pytest.mark.parametrize("values, limits", [
    ([3.0] * 9, [3.0]), (list(range(100)), [0, 12, 25, 37, 50, 62, 74, 87]), ([0.001, 0.002, 0.003, 0.004], None)])
def test_round_limits(values, limits):
    found = round_limits(np.array(values, float), 8)
    assert found == sorted(set(found)) and found[0] == min(values) and len(found) <= 8
    if limits is not None:
        assert found == limits


def test_unit_follows_the_script():
    assert unit_of(["one two", "", "你好"]) == "word" and unit_of(["今天天气很好 ok"]) == "character"
    assert unit_of(["ありがとう"]) == "character" and unit_of(["안녕하세요 여러분"]) == "word" and unit_of([""]) == "word"


@pytest.mark.parametrize("ids, shown", [
    (["/data/a/dev.csv:2", "/data/a/dev.csv:3"], ["dev.csv:2", "dev.csv:3"]), (["/data/a.csv:2"], ["a.csv:2"]),
    (["/data/a/dev.csv:2", "/data/b/dev.csv:2"], ["a/dev.csv:2", "b/dev.csv:2"]), (["a/1", "b/1"], ["a/1", "b/1"])])
def test_names_are_shown_without_their_common_folder(ids, shown):
    scores = [score_utterance(name, "one", "one") for name in ids]
    assert utterance_columns(scores, "word", [score.operations for score in scores])["id"] == shown


def test_audio_addresses_survive_any_name(tmp_path):
    folder = tmp_path / "a b#?%"
    scores = [score_utterance("u%d" % number, "", "", audio_path=str(folder / name)) for number, name in enumerate(
        ["1.wav", "sub/\udcff ü.wav"])] + [score_utterance("none", "", "")]
    addresses = audio_addresses(scores, str(tmp_path / "run" / "report"))
    assert addresses["names"] == ["1.wav", "sub/%FF%20%C3%BC.wav", None]
    assert addresses["bases"][0] == "../../a%20b%23%3F%25/"
    assert addresses["bases"][1] == (tmp_path / "a b#?%").as_uri() + "/"


def test_embedded_audio_has_the_times_of_the_recording():
    samples = np.zeros(48000, np.float32)
    samples[16000:16010] = 0.9
    kind, _, data = audio_address(samples, 16000).partition(",")
    assert kind == "data:audio/mpeg;base64"
    decoded, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 16000 and len(decoded) == 48000 and np.abs(decoded).argmax() == pytest.approx(16005, abs=20)
    # a rate that MP3 does not have
    assert audio_address(samples[:100], 6000).startswith("data:audio/flac;base64,")


def test_recordings_fit_into_the_space(scored):
    scores = scored()
    everything = embedded_recordings(scores, range(6), 16000, 1 << 20, lambda number, samples: {})
    assert [number for number, _ in everything] == list(range(6))
    assert everything[2][1]["duration"] == pytest.approx(0.7)
    sizes = [len(json_in_html(recording)) for _, recording in everything]
    some = embedded_recordings(scores, range(6), 16000, sum(sizes[:3]) + 10, lambda number, samples: {})
    assert [number for number, _ in some] == [0, 1, 2]
    # files that cannot be read are left out
    gone = score_utterance("gone", "one", "one", audio_path="/nowhere/1.wav")
    assert embedded_recordings([gone, scores[0]], [0, 1], 16000, 1 << 20, lambda number, samples: {})[0][0] == 1


def test_the_worst_and_some_others_are_chosen():
    counts = [EditCounts(10 - errors, errors, 0, 0) for errors in (0, 5, 2, 0, 9, 0, 0, 3, 0, 0)] + [EditCounts(0, 0, 0, 1)]
    chosen = chosen_utterances(counts, 6)
    assert chosen[:4] == [10, 4, 1, 7] and chosen[5] == 2 and len(set(chosen)) == 6
    assert chosen[4] == next(number for number in random_utterances(11) if number not in chosen[:4])
    assert sorted(chosen_utterances(counts, 100)) == list(range(11)) and chosen_utterances(counts, 0) == []


def test_posteriors_of_the_worst_are_kept():
    class Utterance:
        def __init__(self, transcript):
            self.transcript = transcript

    references = ["one two", "one two", "one two", "one two three four", "one"]
    transcripts = ["one two", "one", "uh uh", "one two", "one"]
    logits = np.random.RandomState(0).randn(5, 20, 4).astype(np.float32)
    logits[1, 3] = np.nan
    lengths = np.array([20, 7, 20, 12, 5])
    collector = PosteriorCollector([Utterance(text) for text in references], 2, [4], "word")
    for part in (slice(0, 2), slice(2, 5)):
        collector.add({"indices": np.arange(5)[part], "transcripts": transcripts[part], "logits": logits[part],
                       "lengths": lengths[part]})
    # 100 % and the longer one of two with 50 %, and the one that was asked for
    assert [number for number in range(5) if collector.get(number) is not None] == [2, 3, 4]
    kept = collector.get(3)
    assert kept.rows[0] == 3 and kept.values.shape == (12, len(kept.rows))
    expected = np.exp(logits[3, :12]) / np.exp(logits[3, :12]).sum(1, keepdims=True)
    np.testing.assert_allclose(kept.values / 255.0, expected[:, kept.rows], atol=0.003)
    assert (kept.best_path == logits[3, :12].argmax(1)).all()
    # non-finite logits do not fail
    assert posteriors_of(logits[1, :7]).values.shape[0] == 7


def test_picture_of_posteriors():
    characters = list(" ab")
    logits = np.full([6, 4], -9.0)
    logits[np.arange(6), [3, 1, 1, 0, 2, 3]] = 9.0
    posteriors = posteriors_of(logits)
    made = posteriors_picture(posteriors, characters, 0.12)
    assert made["labels"] == ["blank", "space", "a", "b"] and made["duration"] == 0.12
    image = np.array(Image.open(io.BytesIO(base64.b64decode(made["png"].partition(",")[2]))))
    # a row for each label, the blank at the top; the path is bright
    assert (image > 12).tolist() == [[column in columns for column in range(6)] for columns in ((0, 5), (3,), (1, 2), (4,))]
    assert words_of_best_path(posteriors.best_path, characters, 0.02) == [["a", 0.02, 0.06], ["b", 0.08, 0.1]]
    assert words_of_best_path([0, 1, 3, 1, 2, 0, 0, 3], characters, 1.0) == [["aab", 1.0, 5.0]]


def test_comparison():
    references = ["one two three", "four five", "six", "seven", "eight nine"]

    def scored_as(hypotheses):
        return [score_utterance("u%d" % number, reference, hypothesis) for number, (reference, hypothesis) in enumerate(
            zip(references, hypotheses))]

    own = scored_as(["one two three", "four", "six", "seven", "eight"])
    other = scored_as(["one tree tree", "four", "sick six", "seven", "eight nine"])
    other[3] = score_utterance("u9", "ten", "ten")
    content = comparison_content(own, other, "before")
    assert content["columns"]["change"] == [-2, 0, -1, None, 1]
    assert content["columns"]["other_hypothesis"][0] == "one tree tree" and content["columns"]["other_operations"][2] == "IC"
    assert content["rows"][:2] == [["WER", "50.00 %", "25.00 %", "−25.00 points"], ["SER", "75.00 %", "50.00 %", "−25.00 points"]]
    assert content["sentences"][0] == "2 utterances have fewer errors in this evaluation, 1 have more, 1 have as many."
    assert content["sentences"][1].startswith("The WER changes by −25.00 points, 95 % interval ")
    assert content["sentences"][-1] == ("4 utterances are in both evaluations and are compared; 1 are only in this one, 1 only "
                                        "in the other.")
    # characters where words are not separated
    own, other = score_utterance("u", "今天天气", "今天气"), score_utterance("u", "今天天气", "今天天")
    content = comparison_content([own, score_utterance("v", "你好", "你好")], [other, score_utterance("v", "你好", "好")], "-")
    assert content["columns"]["change"] == [0, -1] and content["rows"][0] == ["CER", "33.33 %", "16.67 %", "−16.67 points"]
    with pytest.raises(DataError, match="no utterance is in both"):
        comparison_content([own], [score_utterance("x", "one", "one")], "before")
