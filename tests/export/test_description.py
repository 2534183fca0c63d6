import json
import shutil

import pytest

from open_seq2seq.errors import CheckpointError
from open_seq2seq.export.description import ExportDescription, WordErrorRate, read_description, write_description
from open_seq2seq.export.freeze.freeze import ExportOptions
from tests.export.networks import VOCABULARY, layer, trained_model, write


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """Folder with model.pb and model.json."""
    folder = tmp_path_factory.mktemp("model")
    write(trained_model(folder), ExportOptions(2, 64), folder / "model.pb")
    return folder


@pytest.fixture
def exported(model_folder, tmp_path):
    """Path of a model in tmp_path, and the dict in its JSON."""
    for name in ("model.pb", "model.json"):
        shutil.copy(str(model_folder / name), str(tmp_path))
    return str(tmp_path / "model.pb"), json.loads((tmp_path / "model.json").read_text(encoding="utf-8"))


def rewrite(tmp_path, values):
    (tmp_path / "model.json").write_text(json.dumps(values), encoding="utf-8")


def test_what_the_json_says(exported):
    _, values = exported
    assert values["inputs"] == [{"name": "input", "shape": [2, 1, 64, 8], "dtype": "float32"},
                                {"name": "input_reshape", "shape": [2, 32], "dtype": "float32"}]
    assert values["outputs"] == [{"name": "ForwardPass/fully_connected_ctc_decoder/logits", "shape": [2, 32, 6],
                                  "dtype": "float32"}]
    assert values["vocabulary"] == list(VOCABULARY) and values["blank"] == 5 and values["subsampling"] == 2
    assert values["checkpoint"] == "model.ckpt-7" and values["step"] == 7 and values["config_sha256"] == "0" * 64
    assert values["feature_params"]["backend"] == "librosa" and values["sample_rate"] == 16000 and values["pad_to"] == 16
    assert (values["batch_size"], values["frames"], values["folded"], values["precision"], values["wer"]) == (
        2, 64, True, "float32", None)


def test_written_and_read_back(exported, tmp_path):
    path, _ = exported
    description = read_description(path)._replace(wer=WordErrorRate(0.25, "dev.csv"))
    write_description(description, path)
    assert read_description(path) == description
    assert ExportDescription.of(json.loads(json.dumps(description.as_dict())), "it") == description


def test_frames_of_mask_and_logits(tmp_path):
    # (T - 5) // 2 + 1 of the first layer, which the mask counts; of the second whole windows of (5 - 1) * 2 + 1
    _, description = write(trained_model(tmp_path, layers=[layer(padding="VALID", stride=[2]), layer(
        padding="VALID", dilation=[2])]), ExportOptions(None, None), tmp_path / "model.pb")
    assert [description.mask_frames(frames) for frames in (64, 5, 4)] == [30, 1, 0]
    assert [description.logit_frames(frames) for frames in (64, 21, 5)] == [22, 1, 0]
    assert description.subsampling == 2 and description.inputs[1].shape == (None, None)


@pytest.mark.parametrize("changes, message", [
    ({"blank": 4}, '"blank" is 4, expected 5'),
    ({"vocabulary": list("abcdefg")}, 'expected 7, the number of characters'),
    ({"vocabulary": list("aabcd")}, "a character twice"),
    ({"subsampling": 4}, '"subsampling" is 4, expected 2'),
    ({"frames": "2336"}, r"\[\"frames\"\] is '2336' \(str\), expected an integer"),
    ({"num_audio_features": 64}, "by batch_size, frames and num_audio_features"),
    ({"feature_params": {"num_audio_features": 64, "sample_freq": 16000}}, 'as in feature_params\\["num_audio_features"'),
    ({"sample_rate": 8000}, '"sample_rate" is 8000, expected 16000, as in feature_params'),
    ({"with_features": True}, "expected \\('audio', 'audio_lengths'\\), by with_features"),
    ({"frames": 80}, r'"outputs" is \[2, 32, 6\], expected \[2, 40, 6\]'),
    ({"mask_changes": 3}, "more than there are frame_changes"),
    ({"precison": "float32"}, 'precison"\\] is unknown \\(did you mean "precision"'),
    ({"format_version": 2}, "format version 2, this code knows up to 1"),
    ({"wer": {"value": -1, "data_set": "x"}}, "wer"),
    ({"sha256": {"pb": "0" * 64}}, "does not belong to .*model.pb"),
    ({"sha256": {}}, "it names a file with sha256 None"),
])
def test_a_json_that_contradicts_itself_or_the_model(exported, tmp_path, changes, message):
    path, values = exported
    rewrite(tmp_path, dict(values, **changes))
    with pytest.raises(CheckpointError, match=message):
        read_description(path)


def test_a_json_that_is_none(exported, tmp_path):
    path, values = exported
    for text, message in (("{", "is not JSON"), ("[1]", "expected a JSON object"), ("\xff\xfe", "is not JSON")):
        (tmp_path / "model.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(CheckpointError, match=message):
            read_description(path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(CheckpointError, match="model.json is missing; expected it beside"):
        read_description(path)
    with pytest.raises(CheckpointError, match="there is no model"):
        read_description(str(tmp_path / "other.pb"))
    del values["frame_changes"]
    rewrite(tmp_path, values)
    with pytest.raises(CheckpointError, match='frame_changes"] is missing'):
        read_description(path)
