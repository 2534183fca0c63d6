"""The page in a real browser: a file, an error, the microphone."""
import base64
import json

import numpy as np
import pytest
import soundfile

from open_seq2seq.decoding.writers import srt_of

pytestmark = pytest.mark.slow

WORD_BUTTONS = "[...document.querySelectorAll('#transcript button')]"
DONE = "document.querySelector('#list .done')"


@pytest.fixture
def page(browser, web):
    """A factory: a browser that shows the page of a server; ``client`` is the server's."""
    def open_page(*flags, **options):
        client = web(**options)
        tab = browser(*flags)
        tab.open(client.server.url)
        tab.wait_for("document.querySelector('#limits').textContent")
        tab.client = client
        return tab
    return open_page


def texts(tab, selector):
    return tab.evaluate("[...document.querySelectorAll(%s)].map(element => element.textContent)" % json.dumps(selector))


def identity_of(tab):
    return tab.evaluate("JSON.parse(sessionStorage.recordings)[0]")


def pixels(tab):
    """uint8 [height, width, 4] of the spectrogram's canvas, as it is drawn."""
    width, height, data = tab.evaluate(
        "(canvas => {const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);"
        "let text = ''; for (let i = 0; i < data.length; i += 4096) text += String.fromCharCode(...data.subarray(i, i + 4096));"
        "return [canvas.width, canvas.height, btoa(text)]})(document.querySelector('#spectrogram'))")
    return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)


def test_the_page_names_the_decoder(page):
    tab = page()
    assert texts(tab, "#decoding") == ["Decoding of tones."]


def test_file_becomes_words_and_a_picture(page, wav):
    tab = page()
    tab.choose_files("#file", wav(500, 1000, 2000))
    tab.wait_for(DONE)
    tab.wait_for(WORD_BUTTONS + ".length === 3")
    assert texts(tab, "#transcript button") == ["one", "two", "three"]
    assert texts(tab, "#transcript button.uncertain") == ["two"]
    assert texts(tab, "#list .state") == ["0:02, 3 words"]
    assert tab.evaluate(WORD_BUTTONS + "[1].title") == "0:01.00 to 0:01.50, 50 % certain"
    tab.wait_for("document.querySelector('#announcement').textContent === 'tones.wav is transcribed: 3 words.'")
    tab.wait_for("document.querySelector('#result').getAttribute('aria-busy') === 'false'")

    # each tone is the brightest line of its half second; 2.5 s, the lowest of 80 bands at the bottom
    picture = pixels(tab).astype(int)[:, :, :3].sum(axis=2)
    drawn = picture[:tab.evaluate("document.querySelector('#timeline').clientHeight") - 52]
    columns = [int(drawn.shape[1] * seconds / 2.5) for seconds in (0.5, 1.25, 2.0)]
    band_hz = tab.client.wait(identity_of(tab))["spectrogram"]["band_hz"]
    rows = [drawn[:, column].argmax() for column in columns]
    heard = [band_hz[int((1 - (row + 0.5) / len(drawn)) * len(band_hz))] for row in rows]
    np.testing.assert_allclose(heard, [500, 1000, 2000], rtol=0.12)
    silent = drawn[:, int(drawn.shape[1] * 0.95)]
    assert silent.max() < 100 < drawn[rows[1], columns[1]] // 5
    assert tab.problems() == []

    # nothing is loaded from other servers
    addresses = [address for address in tab.requested_addresses() if not address.startswith("about:")]
    assert len(addresses) > 8 and {address[:len(tab.client.server.url)] for address in addresses} == {tab.client.server.url}


def test_click_on_a_word_plays_it(page, wav):
    tab = page()
    tab.choose_files("#file", wav(500, 1000, 2000))
    tab.wait_for(WORD_BUTTONS + ".length === 3")
    tab.evaluate("played = []; document.querySelector('#audio').onplay = event => played.push(event.target.currentTime)")
    tab.click("#transcript button:nth-of-type(2)")
    tab.wait_for("played.length && document.querySelector('#audio').paused")
    assert tab.evaluate("played") == pytest.approx([1.0], abs=0.02)
    # it stops after the word, not at the end; how long after depends on the machine
    assert 1.5 <= tab.evaluate("document.querySelector('#audio').currentTime") < 2.5
    assert tab.problems() == []


def test_keyboard_and_pointer(page, wav):
    tab = page()
    tab.choose_files("#file", wav(500, 1000, 2000))
    tab.wait_for(WORD_BUTTONS + ".length === 3")
    tab.evaluate(WORD_BUTTONS + "[0].focus()")
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    assert tab.evaluate("document.activeElement.textContent") == "three"
    assert tab.evaluate(WORD_BUTTONS + ".filter(button => button.tabIndex === 0).length") == 1
    tab.evaluate("document.querySelector('#timeline').focus()")
    tab.press("ArrowRight")
    tab.wait_for("document.querySelector('#timeline').getAttribute('aria-valuetext') === '0:01.0'")
    tab.wait_for("document.querySelector('#transcript .spoken_now').textContent === 'two'")
    tab.press("Home")
    tab.wait_for("document.querySelector('#timeline').getAttribute('aria-valuetext') === '0:00.0'")
    tab.click("#timeline")                 # the middle of 2.5 s
    tab.wait_for("Math.abs(document.querySelector('#audio').currentTime - 1.25) < 0.01")
    assert tab.evaluate("document.querySelector('#time').textContent") == "0:01.2 / 0:02.5"


def test_download(page, wav, transcriber, tmp_path):
    tab = page()
    tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "downloads"))
    tab.choose_files("#file", wav(500, 1000, name="my digits.wav"))
    tab.wait_for(WORD_BUTTONS + ".length === 2")
    tab.click("a[data-extension=srt]")
    path = tmp_path / "downloads" / "my digits.srt"
    assert tab.wait_for_event("Page.downloadProgress", state="completed")["receivedBytes"] == path.stat().st_size
    transcript = transcriber.transcribe(str(tmp_path / "my digits.wav"), progress=lambda seconds: None)
    assert path.read_text() == srt_of(transcript, "my digits.wav")


def test_errors_are_shown_as_sentences(page, wav, tmp_path):
    tab = page(max_bytes=1 << 20, max_seconds=2.0)
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.7\n" + bytes(1000))
    tab.choose_files("#file", tmp_path / "paper.pdf")
    tab.wait_for("document.querySelectorAll('#list .failed').length === 1")
    assert texts(tab, "#list .failed .state") == ["This file is not a recording that can be read here. It is a PDF. "
                                                  "Expected WAV, FLAC, OGG, MP3 or AIFF."]
    tab.choose_files("#file", wav(500, 1000, 2000))
    tab.wait_for("document.querySelectorAll('#list .failed').length === 2")
    assert texts(tab, "#list .failed .state")[0] == ("The recording lasts 2.5 s; this server takes up to 2 s. Cut it, or use "
                                                     "the command line.")
    with open(str(tmp_path / "huge.wav"), "wb") as file:
        file.truncate(1 << 30)             # a gigabyte without disk space
    tab.choose_files("#file", tmp_path / "huge.wav")
    tab.wait_for("document.querySelector('#errors').textContent")
    assert texts(tab, "#errors span") == ["huge.wav has 1024 MB; this server takes up to 1 MB. Cut it, or save it as FLAC."]
    tab.click("#errors button")
    assert texts(tab, "#errors p") == []
    # the next one is not affected
    tab.choose_files("#file", wav(500))
    tab.wait_for(WORD_BUTTONS + ".length === 1")


def test_queue_and_removal(page, wav, transcriber):
    tab = page()
    transcriber.gate.clear()
    tab.choose_files("#file", wav(500, name="a.wav"), wav(1000, name="b.wav"))
    tab.wait_for("document.querySelector('#list .waiting')?.textContent.includes('waiting, 1 ahead')")
    tab.wait_for("document.querySelector('#list .working .state')?.textContent === 'transcribing 50 %'")
    assert tab.evaluate("document.querySelector('#list .working progress').value") == 0.5
    tab.wait_for("!document.querySelector('#result').hidden")      # its spectrogram is shown before its words
    tab.click("#list .working .remove")
    tab.wait_for("document.querySelector('#list .working')")       # the other one
    transcriber.gate.set()
    tab.wait_for(WORD_BUTTONS + ".length === 1")
    assert len(texts(tab, "#list li")) == 1 and sorted(transcriber.calls) == ["a.wav", "b.wav"]


def test_reload_keeps_the_recordings(page, wav):
    tab = page()
    tab.choose_files("#file", wav(500, 1000))
    tab.wait_for(DONE)
    tab.evaluate("document.body.dataset.old = 1")
    tab.call("Page.reload")
    tab.wait_for("!document.body?.dataset.old && %s.length === 2" % WORD_BUTTONS)
    assert texts(tab, "#list .name") == ["tones.wav"]


def test_name_is_text_and_nothing_is_wider_than_a_narrow_window(page, wav):
    tab = page()
    tab.choose_files("#file", wav(500, 1000, name="<img src=x onerror=alert(1)>.wav"))
    tab.wait_for(WORD_BUTTONS + ".length === 2")
    assert texts(tab, "#result_name") == ["<img src=x onerror=alert(1)>.wav"]
    assert tab.evaluate("document.querySelectorAll('main img').length") == 0 and tab.problems() == []
    for width in (320, 800):
        tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=2, mobile=False)
        tab.wait_for("window.innerWidth === %d" % width)
        needed, available = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert needed <= available <= width


def test_file_that_is_chosen_before_the_page_knows_the_limits(browser, web, wav):
    client = web()
    tab = browser()
    # the response with the limits is delayed until the file is transcribed
    tab.call("Fetch.enable", patterns=[{"urlPattern": "*/health"}])
    tab.open(client.server.url)
    held = tab.wait_for_event("Fetch.requestPaused")["requestId"]
    tab.choose_files("#file", wav(500))
    tab.wait_for(DONE)
    tab.call("Fetch.continueRequest", requestId=held)
    tab.wait_for("document.querySelector('#limits').textContent")
    tab.evaluate("new Promise(done => setTimeout(done, 0))")
    assert texts(tab, "#list .name") == ["tones.wav"]


def test_no_words(page, tmp_path):
    tab = page()
    soundfile.write(str(tmp_path / "silence.wav"), np.zeros(16000), 16000)
    tab.choose_files("#file", tmp_path / "silence.wav")
    tab.wait_for(DONE)
    tab.wait_for("!document.querySelector('#no_words').hidden")
    assert tab.evaluate("document.querySelector('#downloads').hidden") is True
    assert texts(tab, "#list .state") == ["0:01, 0 words"]
    assert texts(tab, "#warnings li") == ["Warning: the recording is silent"]


def test_warnings_are_those_of_the_shown_recording(page, wav):
    tab = page()
    samples = wav(500)
    short = samples.with_name("short.wav")
    short.write_bytes(samples.read_bytes()[:-30])
    tab.choose_files("#file", short)
    tab.wait_for(DONE)
    tab.wait_for("!document.querySelector('#warnings').hidden")
    warning, = texts(tab, "#warnings li")
    assert warning.startswith("Warning: the header declares 32000 bytes of samples, the file holds 31970 (0.09 % missing)")
    tab.choose_files("#file", samples)
    tab.wait_for("document.querySelectorAll('#list li').length === 2")
    tab.wait_for(DONE)
    tab.wait_for("document.querySelector('#warnings').hidden")
    assert texts(tab, "#warnings li") == []


def test_stopped_server_is_reported(page, wav):
    tab = page()
    tab.client.server.__exit__()
    tab.choose_files("#file", wav(500))
    tab.wait_for("document.querySelector('#list .failed')")
    assert "The server does not respond" in texts(tab, "#list .failed .state")[0]


def test_microphone(page, wav):
    """Chromium's fake microphone plays a file again and again: what is recorded and sent is what it played."""
    tab = page("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
               "--use-file-for-fake-audio-capture=" + str(wav(1000)))
    tab.click("#record")
    tab.wait_for("document.querySelector('#record').getAttribute('aria-pressed') === 'true'")
    tab.wait_for("document.querySelector('#recorded_time').textContent === '0:02'")
    tab.click("#record")
    tab.wait_for(DONE)
    assert texts(tab, "#list .name") == ["Microphone 1.wav"]
    identity = identity_of(tab)
    assert tab.client.wait(identity)["duration"] > 1.5
    points = np.frombuffer(tab.client.ask("GET", "/recordings/%s/spectrogram" % identity).body, np.uint8).reshape(-1, 80)
    band_hz = tab.client.wait(identity)["spectrogram"]["band_hz"]
    loud = points[points.max(axis=1) > 200]
    assert len(loud) > 20 and np.median(np.array(band_hz)[loud.argmax(axis=1)]) == pytest.approx(1000, rel=0.03)
    assert (points.max(axis=1) < 100).sum() > 20           # the silence between the tones
    assert tab.problems() == []


def test_microphone_that_is_not_allowed(page):
    tab = page("--deny-permission-prompts")
    tab.click("#record")
    tab.wait_for("document.querySelector('#errors').textContent")
    assert "microphone was" in texts(tab, "#errors span")[0].lower()
    assert tab.evaluate("document.querySelector('#record').disabled") is False
