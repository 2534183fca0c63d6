"""The page of an evaluation in a real browser, opened as a file: order, filters, differences, audio, pictures, its width."""
import json

import pytest

from open_seq2seq.evaluation.report.comparison import comparison_content
from open_seq2seq.evaluation.utterance_scores import score_utterance

pytestmark = pytest.mark.slow

NAMES = "[...document.querySelectorAll('#utterance_table .name')].map(name => name.firstChild.textContent)"


@pytest.fixture
def opened(browser, write, scored):
    """A factory of browsers that show the page; ``page`` is what the fixture ``write`` returned."""
    def open_page(scores=None, width=1200, scheme="light", **options):
        scores = scored() if scores is None else scores
        tab = browser()
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.page = write(scores, **options)
        tab.open(tab.page.url)
        tab.wait_for("document.documentElement.dataset.ready")
        return tab
    return open_page


def texts(tab, selector):
    return tab.evaluate("[...document.querySelectorAll(%s)].map(element => element.textContent)" % json.dumps(selector))


def choose(tab, selector, value):
    tab.evaluate("(element => {element.value = %s; element.dispatchEvent(new Event('change')); "
                 "element.dispatchEvent(new Event('input'))})(document.querySelector(%s))" % (
                     json.dumps(value), json.dumps(selector)))


def open_utterance(tab, name):
    tab.evaluate("[...document.querySelectorAll('#utterance_table .name')].find(element => element.firstChild.textContent === "
                 "%s).click()" % json.dumps(name))


def test_order_pages_and_filters(opened):
    tab = opened()
    first_page = tab.evaluate(NAMES)
    # the worst first: an empty reference with a hypothesis, then 100 %
    assert first_page[:3] == ["dev.csv:6", "dev.csv:8", "dev.csv:9"] and len(first_page) == 50
    assert texts(tab, "#page_number") == ["Page 1 of 2"]
    assert texts(tab, "#heads [aria-sort=descending]") == ["WER ▾"]
    tab.click("#next_page")
    second_page = tab.evaluate(NAMES)
    assert len(second_page) == 21 and not set(first_page) & set(second_page)

    tab.click("#heads th:nth-child(4) button")                   # errors
    errors = [int(text) for text in texts(tab, "#utterance_table td.errors")]
    assert errors == sorted(errors, reverse=True) and errors[0] == 4 and texts(tab, "#page_number") == ["Page 1 of 2"]
    tab.click("#sort_direction")
    assert texts(tab, "#utterance_table td.errors")[0] == "0"
    choose(tab, "#sort_key", "loss")
    losses = texts(tab, "#utterance_table td.loss")
    assert losses[0] == "17.50" and losses == sorted(losses, key=float, reverse=True)
    choose(tab, "#sort_key", "id")
    assert tab.evaluate(NAMES)[1:4] == ["dev.csv:2", "dev.csv:3", "dev.csv:4"]        # numbers in names count as numbers
    # a missing number is last in both directions
    choose(tab, "#sort_key", "loss")
    for _ in range(2):
        tab.click("#next_page")
        assert texts(tab, "#utterance_table td.loss")[-1] == "–"
        tab.click("#sort_direction")

    choose(tab, "#search", "TREE")
    assert set(tab.evaluate(NAMES)) == {"dev.csv:2", '</script>"<b>.csv:12'}
    assert texts(tab, "#count") == ["2 utterances of 71, 5 words, 2 errors (40.00 %)"]
    choose(tab, "#search", "")
    tab.click("#only_errors")
    assert len(tab.evaluate(NAMES)) == 9
    choose(tab, "#column_filters select", "2")
    assert set(tab.evaluate(NAMES)) == {"dev.csv:4", "dev.csv:10"}
    choose(tab, "#column_filters select", "")
    tab.click("#only_errors")

    # a confusion pair of the tables lists its utterances; selected again, all
    pair = "#word_tables button.link"
    assert texts(tab, pair)[0] == "two ≠ tree"
    tab.click(pair)
    assert set(tab.evaluate(NAMES)) == {"dev.csv:2", '</script>"<b>.csv:12'}
    assert texts(tab, "#chips button") == ["two ≠ tree ✕"]
    assert tab.evaluate("document.querySelector(%r).ariaPressed" % pair) == "true"
    tab.click("#chips button")
    assert len(tab.evaluate(NAMES)) == 50 and tab.evaluate("document.querySelector(%r).ariaPressed" % pair) == "false"

    # a bar of a distribution, with the keyboard
    tab.evaluate("document.querySelector('.bar').focus()")
    tab.press("End")
    tab.evaluate("document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter'}))")
    assert set(tab.evaluate(NAMES)) == {"dev.csv:6", "dev.csv:8"}
    assert tab.problems() == []


def test_texts_are_only_text_and_differences_have_signs(opened):
    tab = opened()
    # markup and line separators in transcripts and names are shown, not interpreted
    assert tab.evaluate("document.querySelectorAll('img, script[src], main b').length") == 0
    assert texts(tab, "h1") == ["Evaluation of <mine>"]
    assert '</script>"<b>.csv:12' in tab.evaluate(NAMES)
    number = [score.id for score in tab.page.scores].index("dev.csv:9")
    shown = texts(tab, "#utterance-%d .diff" % number)[0]
    assert "<script>alert(1)</script>" in shown and "</script><img" in shown

    assert texts(tab, "#utterance-0 .diff") == ["one two≠tree three"]
    assert texts(tab, "#utterance-1 .diff del") == ["five"] and texts(tab, "#utterance-2 .diff ins") == ["uh"]
    assert [tab.evaluate("getComputedStyle(document.querySelector(%r), '::before').content" % selector) for selector in (
        "#utterance-1 .diff del", "#utterance-2 .diff ins")] == ['"−\u2060"', '"+\u2060"']
    choose(tab, "#search", "dev.csv:7")
    assert texts(tab, "#utterance-5 .diff") == ["no words in reference and hypothesis"]
    choose(tab, "#search", "")

    open_utterance(tab, "dev.csv:2")
    columns = tab.evaluate("[...document.querySelectorAll('.alignment > span')].map(column => [...column.children].map("
                           "line => line.textContent))")
    assert columns == [["one", "one", ""], ["two", "tree", "S"], ["three", "three", ""]]
    # characters that differ are bold
    assert texts(tab, ".alignment b") == ["wo", "ree"]
    open_utterance(tab, "dev.csv:10")
    assert tab.evaluate("document.querySelector('.alignment').dir") == "rtl"
    first, second = tab.evaluate("[0, 1].map(i => document.querySelectorAll('.alignment > span')[i].getBoundingClientRect().x)")
    assert first > second


def test_audio_plays_and_pictures_are_shown(opened, scored):
    tab = opened(embedded=[0, 1])
    assert sorted(tab.page.recordings) == [0, 1]
    tab.evaluate("document.querySelector('#utterance-0 .name').focus()")
    tab.evaluate("document.activeElement.click()")
    assert tab.evaluate("document.querySelector('#utterance-0 .name').ariaExpanded") == "true"
    tab.wait_for("document.querySelector('audio').readyState >= 2")
    assert tab.evaluate("document.querySelector('audio').src").startswith("data:audio/mpeg;base64,")
    assert tab.evaluate("document.querySelector('audio').duration") == pytest.approx(0.5, abs=0.001)
    # what is played is the recording: a tone of 1000 Hz, with the samples at their times
    crossings = tab.evaluate("""(async () => {
        const data = await new OfflineAudioContext(1, 16000, 16000).decodeAudioData(Uint8Array.from(
            atob(document.querySelector('audio').src.split(',')[1]), character => character.charCodeAt(0)).buffer);
        const samples = data.getChannelData(0);
        let count = 0;
        for (let i = 801; i < 7200; i++) count += samples[i - 1] < 0 && samples[i] >= 0;
        return count;
    })()""")
    assert crossings == pytest.approx(400, abs=1)
    tab.evaluate("document.querySelector('audio').play()")
    tab.wait_for("document.querySelector('audio').currentTime > 0.05")
    tab.wait_for("document.querySelector('audio').ended")
    assert tab.evaluate("parseFloat(document.querySelector('.cursor').style.left)") > 90

    # the picture: features above, posteriors with the rows of the characters that occur
    tab.wait_for("[...document.querySelectorAll('.sheet img')].every(image => image.complete)")
    assert tab.evaluate("[...document.querySelectorAll('.sheet img')].map(image => [image.naturalWidth, image.naturalHeight])"
                        ) == [[100, 40], [30, 8]]
    assert texts(tab, ".letters b") == ["blank", "space", "e", "h", "n", "o", "r", "t"]
    assert texts(tab, ".spoken bdi") == ["one", "tree", "three"]
    # the keyboard and the pointer move the position
    tab.evaluate("document.querySelector('.picture').focus()")
    tab.press("Home")
    tab.wait_for("document.querySelector('audio').currentTime === 0")
    tab.click(".sheet")
    tab.wait_for("Math.abs(document.querySelector('audio').currentTime - 0.25) < 0.01")

    # another utterance closes the first; its audio is a file next to the page
    open_utterance(tab, "dev.csv:4")
    assert len(texts(tab, ".detail")) == 1
    tab.wait_for("document.querySelector('audio').readyState >= 1")
    assert tab.evaluate("document.querySelector('audio').src").startswith("file:")
    assert tab.evaluate("document.querySelector('audio').duration") == pytest.approx(0.7, abs=0.001)
    assert "not embedded" in texts(tab, ".detail .note")[0]
    assert texts(tab, ".facts_line b")[-1] == tab.page.scores[2].audio_path
    assert tab.problems() == []
    # this one's file does not exist
    choose(tab, "#search", "other.csv:2")
    open_utterance(tab, "other.csv:2")
    tab.wait_for("document.querySelector('.detail .note').textContent.includes('cannot open')")
    assert "11%20%23%FF.wav" in texts(tab, ".detail .note")[0]
    # nothing is loaded from anywhere else
    assert {address.split(":")[0] for address in tab.requested_addresses()} <= {"file", "data"}


@pytest.mark.parametrize("width, scheme", [(400, "light"), (1600, "dark")])
def test_nothing_is_wider_than_the_window(opened, scored, width, scheme):
    groups = [{"title": "speaker", "heads": ["speaker"] + ["a long head %d" % i for i in range(9)],
               "rows": [["a_name_without_any_space_" * 3] + ["%d to %d" % (i, i) for i in range(9)]]}]
    scores = scored()
    comparison = comparison_content(scores, [score_utterance(score.id, score.reference, "two two") for score in scores],
                                    "/a/folder/with_a_name_without_any_space/" * 4)
    tab = opened(scores, width=width, scheme=scheme, embedded=range(11), groups=groups, comparison=comparison)
    for number in range(11):
        tab.evaluate("document.querySelector('#search').value = ''")
        choose(tab, "#search", tab.page.scores[number].id)
        tab.evaluate("document.querySelector('#utterance-%d .name').click()" % number)
        tab.wait_for("[...document.querySelectorAll('.sheet img')].every(image => image.complete)")
        needed, available = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert needed <= available <= width, tab.page.scores[number].id
        # nor does any part of the page run out of its section
        assert tab.evaluate("""[...document.querySelectorAll('section *')].filter(element =>
            !element.closest('.scroll, .tall, .picture, .unseen') && element.getBoundingClientRect().width > 0 &&
            element.getBoundingClientRect().right > element.closest('section').getBoundingClientRect().right + 0.5
            ).map(element => element.outerHTML.slice(0, 80))""") == []
    # the comparison is visible without scrolling, and none of its words is broken
    assert tab.evaluate("""[...document.querySelectorAll('#comparison .scroll')].every(
        element => element.scrollWidth <= element.clientWidth)""")
    assert tab.evaluate("""[...document.querySelectorAll('#comparison tbody td:first-child')].map(element => {
        const range = document.createRange();
        range.selectNodeContents(element);
        return range.getClientRects().length;
    })""") == [1] * 5
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(json.loads(dark.replace("rgb(", "[").replace(")", "]"))) < 200) == (scheme == "dark")
    assert tab.problems() == []


def test_text_without_spaces_is_compared_by_characters(opened):
    tab = opened([score_utterance("a", "今天天气很好", "今天气很好")] + [
        score_utterance(name, "你好", "你好") for name in "bcde"])
    assert texts(tab, "#headline dt")[:2] == ["CER", "WER"] and texts(tab, "#heads th")[1:3] == ["CER ▾", "WER"]
    assert texts(tab, "#utterance-0 .diff del") == ["天"] and texts(tab, "#utterance-0 td.rate") == ["17 %"]
    assert texts(tab, "#count") == ["5 utterances, 14 characters, 1 error (7.14 %)"]
    assert tab.problems() == []
