"""The augmentation's effects: probabilities, determinism, voices, and configs and folders that are refused."""
import concurrent.futures

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.effects import noise
from open_seq2seq.data.rejection import UNREADABLE, RejectedData
from open_seq2seq.data.speech2text import waveform_effects
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.augmentation_recipes import RECIPES
from open_seq2seq.data.speech2text.waveform_effects import NAMES, WaveformEffects
from open_seq2seq.errors import DataError

RATE = 16000
VOICE = (0.2 * np.sin(np.arange(12000) * 0.05) * (np.sin(np.arange(12000) * 1e-3) > -0.5)).astype(np.float32)
EVERYTHING = {name: {} for name in NAMES}


def checked(**given):
    report = Report()
    params = check_parameters(Augmentation.PARAMETERS, given, "augmentation", report)
    if not report.problems:
        Augmentation.check_rules(params, "augmentation", report)
    return params, report


def effects(seed=0, voices=(3, lambda index: VOICE[1000 * index:]), **given):
    params, report = checked(**given)
    assert not report.problems, report.problems
    return WaveformEffects(params, RATE, seed, voices)


@pytest.fixture(autouse=True)
def no_slow_codecs(monkeypatch):
    """Opus takes longer than all others together."""
    monkeypatch.setitem(EVERYTHING, "codec", {"kinds": [kind for kind in ("mulaw_fast", "gsm_like", "gsm", "mulaw")]})


@pytest.mark.parametrize("name", NAMES)
def test_each_effect_changes_a_waveform_within_its_length(name):
    one = effects(**{name: EVERYTHING[name]})
    assert one.any
    changed = [one.apply(VOICE, (3, position)) for position in range(40)]
    different = sum(not np.array_equal(found, VOICE) for found in changed)
    # a drawn pause or packet may be one that was silent before
    assert different >= (20 if name in ("pauses", "packet_loss") else 39)
    for found in changed:
        assert found.dtype == np.float32 and np.isfinite(found).all() and 1 <= len(found) <= one.most_samples(len(VOICE))
    assert len({found.tobytes() for found in changed}) > 1
    assert not effects(**{name: dict(EVERYTHING[name], probability=0.0)}).any


@pytest.mark.parametrize("waveform", [[0.25], [0.0] * 7, [0.5, -0.5] * 60, [0.0] * 3000, [1e9] * 500],
                         ids=["one sample", "few zeros", "shorter than a frame", "silence", "huge"])
def test_short_and_silent_waveforms_stay_finite(waveform):
    every, waveform = effects(**EVERYTHING), np.float32(waveform)
    for position in range(60):
        changed = every.apply(waveform, (0, position))
        assert changed.dtype == np.float32 and np.isfinite(changed).all()
        assert 1 <= len(changed) <= every.most_samples(len(waveform))
    assert len(every.apply(np.zeros(0, np.float32), (0, 0))) == 0


def test_equal_seeds_give_equal_waveforms_whatever_thread_computes_them():
    given = {name: dict(EVERYTHING[name], probability=0.5) for name in NAMES}
    first, second = effects(seed=7, **given), effects(seed=7, **given)
    expected = [first.apply(VOICE, (7, position)) for position in range(60)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        # in another order: rooms and babble are made at other moments
        found = list(pool.map(lambda position: second.apply(VOICE, (7, position)), reversed(range(60))))
    for one, other in zip(expected, reversed(found)):
        np.testing.assert_array_equal(one, other)
    assert not all(np.array_equal(one, effects(seed=7, **given).apply(VOICE, (8, position)))
                   for position, one in enumerate(expected[:5]))


def test_the_graph_computes_the_same(graph):
    several = effects(**{name: EVERYTHING[name] for name in ("tempo", "noise", "level", "shift")})
    seed = tf.placeholder(tf.int32, [2])
    changed = several(tf.constant(VOICE), seed)
    with tf.Session() as session:
        for position in (0, 1, 2 ** 31 - 1, -5):
            np.testing.assert_array_equal(session.run(changed, {seed: (-2, position)}), several.apply(VOICE, (-2, position)))


def test_an_effect_does_not_depend_on_the_others():
    """The level is drawn from the same numbers, whether or not other effects are configured or applied."""
    alone = effects(level={"probability": 0.5})
    # these two leave the waveform as it is
    others = effects(level={"probability": 0.5}, clipping={"excess_db": [0.0, 0.0]}, packet_loss={"fraction": [0.0, 0.0]})
    for position in range(30):
        np.testing.assert_array_equal(alone.apply(VOICE, (0, position)), others.apply(VOICE, (0, position)))


@pytest.mark.parametrize("probability", [0.1, 0.7])
def test_probabilities_are_as_stated(probability):
    count = 1500
    both = effects(offset={"probability": probability, "offset": [0.5, 0.5]}, shift={"probability": 0.5, "seconds": [0.1, 0.1]})
    found = [both.apply(VOICE[:100], (0, position)) for position in range(count)]
    is_longer = np.array([len(waveform) > 100 for waveform in found])
    has_offset = np.array([np.abs(waveform).max() > 1.4 * np.abs(VOICE[:100]).max() for waveform in found])
    assert has_offset.mean() == pytest.approx(probability, abs=0.04) and is_longer.mean() == pytest.approx(0.5, abs=0.05)
    assert np.corrcoef(is_longer, has_offset)[0, 1] == pytest.approx(0, abs=0.09)
    rarely = effects(effects_probability=0.2, offset={"offset": [0.5, 0.5]})
    changed = [not np.array_equal(rarely.apply(VOICE[:100], (0, position)), VOICE[:100]) for position in range(count)]
    assert np.mean(changed) == pytest.approx(0.2, abs=0.04)


@pytest.mark.parametrize("given,other_power", [
    ({"noise": {"kinds": ["babble"], "snr_db": [12, 12]}}, None), ({"second_voice": {"snr_db": [12, 12]}}, 0.5)])
def test_voices_of_the_corpus_have_the_stated_ratio(given, other_power):
    ones = effects(voices=(2, lambda index: np.float32(0.01 * np.sin(np.arange(9000) * (0.2 + index)))), **given)
    for position in range(5):
        added = ones.apply(VOICE, (0, position)) - VOICE
        ratio = 10 * np.log10(noise.active_power(VOICE, RATE) / noise.power(added))
        assert ratio == pytest.approx(12, abs=0.3)


def test_unreadable_voices_are_skipped():
    def load(index):
        if index:
            raise RejectedData(UNREADABLE, "gone")
        return VOICE
    some = effects(voices=(2, load), second_voice={})
    assert not np.array_equal(some.apply(VOICE, (0, 0)), VOICE)

    def fail(index):
        raise RejectedData(UNREADABLE, "gone")
    for none in (effects(voices=(2, fail), second_voice={}, noise={"kinds": ["babble"]}),
                 effects(voices=None, second_voice={}, noise={"kinds": ["babble"]})):
        np.testing.assert_array_equal(none.apply(VOICE, (0, 0)), VOICE)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), np.asarray(samples, np.float64), rate, subtype="FLOAT" if path.suffix == ".wav" else None)


def test_noise_from_files_has_the_stated_ratio_at_any_rate(tmp_path, capsys):
    write(tmp_path / "sounds" / "deep" / "hiss.flac", 0.1 * noise.noise_bank("pink")[:30000], 48000)
    write(tmp_path / "sounds" / "click.wav", np.float32([0.5, -0.2, 0, 0.1] * 100))
    files = effects(noise={"kinds": ["files"], "folder": str(tmp_path / "sounds"), "snr_db": [6, 6]})
    assert "2 audio files" in capsys.readouterr().out
    for position in range(6):
        added = files.apply(VOICE, (0, position)) - VOICE
        assert 10 * np.log10(noise.active_power(VOICE, RATE) / noise.power(added)) == pytest.approx(6, abs=0.2)


def test_impulse_responses_from_files_are_applied(tmp_path):
    response = np.zeros(200)
    response[[50, 150]] = 1, 0.5
    write(tmp_path / "rooms" / "a.wav", response)
    found = effects(reverberation={"folder": str(tmp_path / "rooms")}).apply(VOICE, (0, 0))
    expected = VOICE + 0.5 * np.pad(VOICE, (100, 0), mode="constant")[:len(VOICE)]
    np.testing.assert_allclose(found / np.abs(found).max(), expected / np.abs(expected).max(), atol=1e-4)


@pytest.mark.parametrize("effect,contents,words", [
    ("noise", None, ["does not exist", "expected a folder with audio files"]),
    ("noise", {}, ["is empty", ".wav"]),
    ("noise", {"notes.txt": b"no audio", "b/more.pdf": b"%PDF"}, ["has 2 files, but none of them is audio", ".flac"]),
    ("noise", {"short.wav": [0.1, -0.1] * 50, "good.wav": [0.1, -0.1] * 500},
     ["1 of the 2", "short.wav", "6.2 ms", "of 20 ms"]),
    ("noise", {"silent.wav": [0.0] * 4000}, ["silent.wav", "constant"]),
    ("noise", {"broken.wav": b"RIFF\x10\x00\x00\x00WAVEfmt nothing"}, ["broken.wav", "1 of the 1"]),
    ("reverberation", {}, ["is empty"]),
    ("reverberation", {"zeros.wav": [0.0] * 4000}, ["zeros.wav", "all zeros, which is not an impulse response"])])
def test_folders_that_cannot_be_used_are_refused(tmp_path, effect, contents, words):
    folder = tmp_path / "sounds"
    if contents is not None:
        folder.mkdir()
    for name, content in (contents or {}).items():
        if isinstance(content, bytes):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        else:
            write(folder / name, content)
    given = {"folder": str(folder)}
    with pytest.raises(DataError) as raised:
        effects(**{effect: dict(given, kinds=["files"]) if effect == "noise" else given})
    for word in ['augmentation["%s"]["folder"]' % effect, "sounds"] + words:
        assert word in str(raised.value)


@pytest.mark.parametrize("given,words", [
    ({"noise": {"snr_db": [40, 5]}}, ['["noise"]["snr_db"]', "[40, 5]", "lowest value first"]),
    ({"second_voice": {"snr_db": [3.5, 3]}}, ['["second_voice"]["snr_db"]', "swap"]),
    ({"shift": {"seconds": [0.5, 0.1]}}, ['["shift"]["seconds"]', "swap"]),
    ({"noise": {"probability": 1.5}}, ['["noise"]["probability"]', "1.5", "1"]),
    ({"effects_probability": 2}, ["effects_probability", "2"]),
    ({"codec": {"probability": -0.1}}, ['["codec"]["probability"]', "-0.1"]),
    ({"noise": {"kinds": ["files"]}}, ['["noise"]["folder"]', "is missing", "folder of audio files"]),
    ({"noise": {"kinds": ["whit"]}}, ['["noise"]["kinds"]', "whit", "white"]),
    ({"noise": {"kinds": []}}, ['["noise"]["kinds"]']),
    ({"reverberation": {"time": [0.0, 0.5]}}, ['["reverberation"]["time"]', "0.03"]),
    ({"tempo": {"ratio": [0.9]}}, ['["tempo"]["ratio"]', "2"]),
    ({"nois": {}}, ["nois", "noise"])])
def test_mistakes_are_refused_by_the_name_of_their_key(given, words):
    _, report = checked(**given)
    message = "\n".join(report.problems)
    for word in words:
        assert word in message, message


def test_a_codec_that_libsndfile_lacks_is_refused_with_those_that_it_has(monkeypatch):
    monkeypatch.setattr(waveform_effects.channel, "missing_file_codecs", lambda: ("mp3", "opus"))
    _, report = checked(codec={"kinds": ["mp3", "gsm", "opus"]})
    message, = report.problems
    assert 'augmentation["codec"]["kinds"] has mp3, opus, which libsndfile %s lacks' % soundfile.__libsndfile_version__ in message
    assert "it has mulaw_fast, gsm_like, gsm, mulaw, vorbis" in message


def test_a_folder_that_would_not_be_used_is_refused(tmp_path):
    _, report = checked(noise={"folder": str(tmp_path)})
    assert any('["noise"]["kinds"]' in problem and 'Add "files"' in problem for problem in report.problems)


def test_a_recipe_is_completed_and_replaced_by_what_is_given():
    report = Report()
    given = {"recipe": "robust", "noise": {"snr_db": [0.0, 1.0]}, "tempo": {"probability": 0.0}}
    params = waveform_effects.with_recipe(check_parameters(waveform_effects.PARAMETERS, given, "augmentation", report))
    report.raise_problems()
    assert params["effects_probability"] == RECIPES["robust"]["effects_probability"]
    assert params["noise"]["snr_db"] == [0.0, 1.0] and params["noise"]["probability"] == 1.0
    assert params["tempo"]["probability"] == 0.0 and params["pitch"] is None
    assert params["reverberation"] == dict(RECIPES["robust"]["reverberation"], time=[0.1, 0.6], distance=[0.3, 2.5], folder=None)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_are_valid_and_change_utterances(name):
    changing = effects(recipe=name)
    changed = [not np.array_equal(changing.apply(VOICE, (1, position)), VOICE) for position in range(20)]
    assert changing.any and 5 < sum(changed) <= 20
