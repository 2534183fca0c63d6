"""Labels of pitch and speaker, and the probe that finds them in features."""
import numpy as np
import pytest
import soundfile

from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription, write_shard
from open_seq2seq.data.speech2text.utterance_labels import UtteranceLabels
from open_seq2seq.errors import DataError
from open_seq2seq.pretraining import auxiliary_labels
from open_seq2seq.pretraining.auxiliary_labels import HIGHEST, LOWEST, PITCHES, pitch_labels
from open_seq2seq.pretraining.probe import probe

TIMES = np.arange(12000) / 16000.0


@pytest.fixture
def corpus(tmp_path):
    """train.csv with 8 utterances of two speakers; the second one's pitch is higher."""
    lines = ["wav_filename,wav_filesize,transcript,speaker"]
    for number in range(8):
        name = "%d.wav" % number
        soundfile.write(str(tmp_path / name), _voice(110 if number % 2 else 220)[:8000 + 400 * number], 16000, subtype="PCM_16")
        lines.append("%s,0,,%s" % (name, "ada" if number % 2 else "bob"))
    (tmp_path / "train.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def _voice(pitch):
    return (0.2 * sum(np.sin(2 * np.pi * pitch * harmonic * TIMES) / harmonic for harmonic in range(1, 8))).astype(np.float32)


@pytest.mark.parametrize("pitch", [80.0, 150.0, 390.0])
def test_the_class_of_a_voice_is_that_of_its_pitch(pitch):
    labels = pitch_labels(_voice(pitch))
    assert len(labels) == 73
    place = np.log(pitch / LOWEST) / np.log(HIGHEST / LOWEST) * PITCHES
    assert np.abs(labels[5:-5] - 1 - int(place)).max() <= 1 and np.median(labels) == 1 + int(place)


def test_hum_hiss_and_silence_are_unvoiced():
    hum = 0.1 * np.sin(2 * np.pi * 50.0 * TIMES) + 0.003 * np.random.RandomState(0).randn(len(TIMES))
    for waveform in (hum, 0.05 * np.random.RandomState(1).randn(len(TIMES)), 0.0 * TIMES):
        assert not pitch_labels(waveform.astype(np.float32))[3:-3].any()
    assert len(pitch_labels(np.zeros([300], np.float32))) == 0


def test_labels_of_speakers_are_those_of_a_data_set_and_a_probe_finds_them(corpus):
    manifest = str(corpus / "train.csv")
    auxiliary_labels.main(["speaker", manifest])
    labels = UtteranceLabels([manifest], "speaker")
    assert labels.label_rate == 100 and labels.dictionary.symbols == ["0", "1"]
    lines = (corpus / "train.speaker").read_text().splitlines()
    assert [set(line.split()) for line in lines] == [{"1"}, {"0"}] * 4
    # features that have the speaker, and features that have not
    random = np.random.RandomState(0)
    lengths = [len(line.split()) // 2 for line in lines]
    for name, share in (("with", 3.0), ("without", 0.0)):
        (corpus / name).mkdir()
        frames = np.concatenate([random.randn(length, 4) + share * (number % 2) for number, length in enumerate(lengths)])
        write_shard(str(corpus / name / "train_0_1.npy"), [(frames.astype(np.float32), lengths)],
                    FeatureDescription("layer x", 50.0, 4, "", None))
    found = {name: probe(str(corpus / name), "train", str(corpus / "train.speaker"), seed=1) for name in ("with", "without")}
    assert found["with"].accuracy > 0.95 and found["with"].classes == 2
    assert found["without"].accuracy < 0.75
    with pytest.raises(DataError, match="8 utterances"):
        (corpus / "train.speaker").write_text("0 1\n")
        probe(str(corpus / "with"), "train", str(corpus / "train.speaker"))


def test_a_missing_speaker_is_named_with_the_columns_that_there_are(corpus):
    with pytest.raises(DataError) as error:
        auxiliary_labels.main(["speaker", str(corpus / "train.csv"), "--column", "narrator"])
    assert "train.csv:2" in str(error.value) and "speaker" in str(error.value) and "--column" in str(error.value)
    assert not (corpus / "train.speaker").exists()
