"""scripts/preview_augmentation.py: the files of a preview, and what is refused."""
import importlib.util
import os

import numpy as np
import pytest
import soundfile
from PIL import Image

from tests.paths import REPOSITORY

AUGMENTATION = """
train_params["data_layer_params"]["augmentation"] = {
    "recipe": "robust", "level": {"probability": 0.1, "gain_db": [-20.0, -20.0]}, "n_time_mask": 1,
    "speed_perturbation_ratio": 0.1}
"""


@pytest.fixture
def preview(tmp_path, write_config, monkeypatch):
    """Function (flags, text of the config) -> exit status; four utterances of training data."""
    specification = importlib.util.spec_from_file_location(
        "preview_augmentation", os.path.join(REPOSITORY, "scripts", "preview_augmentation.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, 16000)
    lines = ["wav_filename,wav_filesize,transcript"]
    for number in range(4):
        soundfile.write(str(tmp_path / ("%d.wav" % number)), noise[:8000 + 1000 * number], 16000)
        lines.append("%d.wav,1,abc" % number)
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(str(tmp_path))

    def run(*flags, text=""):
        overrides = ["--data_layer_params/vocab_file=%s" % os.path.join(
            REPOSITORY, "open_seq2seq", "test_utils", "toy_speech_data", "vocab.txt")]
        return module.main(["--config_file=" + write_config(text), "--output=out"] + overrides + list(flags))
    return run


def test_a_preview_has_the_audio_and_pictures_of_every_effect(preview, tmp_path):
    assert preview("--utterances=2", text=AUGMENTATION) == 0
    names = set(os.listdir(str(tmp_path / "out")))
    effects = ["original", "augmentation", "noise", "tempo", "reverberation", "level", "codec", "speed", "masks"]
    assert {"index.html", "1.png", "2.png"} | {"%d_%s.wav" % (number, name) for number in (1, 2) for name in effects} <= names
    assert not any("pitch" in name or "offset" in name for name in names)
    original, rate = soundfile.read(str(tmp_path / "out" / "1_original.wav"))
    quieter = soundfile.read(str(tmp_path / "out" / "1_level.wav"))[0]
    # alone and always, although its probability is 0.1
    assert rate == 16000 and np.std(quieter) == pytest.approx(0.1 * np.std(original), rel=1e-2)
    np.testing.assert_array_equal(soundfile.read(str(tmp_path / "out" / "1_masks.wav"))[0], original)
    picture = np.asarray(Image.open(str(tmp_path / "out" / "1.png")).convert("L"))
    assert picture.shape[1] == 1210 and picture.std() > 20
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all('src="%s"' % name in page for name in names if name != "index.html")


def test_an_effect_that_the_config_lacks_has_its_defaults(preview, tmp_path):
    assert preview("--utterances=1", "--effect=offset", "--effect=codec") == 0
    assert sorted(os.listdir(str(tmp_path / "out"))) == ["1.png", "1_codec.wav", "1_offset.wav", "1_original.wav", "index.html"]


@pytest.mark.parametrize("flags,text,words", [
    (["--effect=nois"], AUGMENTATION, ["--effect=nois", 'did you mean "noise"?']),
    ([], "", ["no augmentation", "--effect=tempo"]),
    (["--effect=masks"], "", ["no defaults", "n_freq_mask"]),
    (["--utterances=0"], "", ["--utterances"]),
    (["--utterances=1000"], "", ["--utterances is 1000, expected at most 50"]),
    (["--train_params/data_layer_params/augmentation={'noise': {'kinds': ['files'], 'folder': 'nowhere'}}"], "",
     ['augmentation["noise"]["folder"]', "nowhere does not exist"])])
def test_mistakes_are_refused(preview, tmp_path, capsys, flags, text, words):
    try:
        status = preview(*flags, text=text)
    except SystemExit as ended:
        status = ended.code
    printed = capsys.readouterr().err
    assert status in (2, 3) and all(word in printed for word in words), printed
    assert not (tmp_path / "out" / "index.html").exists()
