"""The JSON next to an exported model: its content, and what is refused."""
import json
import shutil

import pytest

from open_seq2seq.data.speech2text.features import LATER_PARAMETERS
from open_seq2seq.errors import CheckpointError, ConfigError
from open_seq2seq.export.description import (
    CHECKSUM,
    FEATURE_PARAMETERS,
    ExportDescription,
    WordErrorRate,
    checksum_of,
    read_description,
    write_description,
)
from open_seq2seq.export.freeze.frozen_graph import ExportOptions, check_options
from open_seq2seq.export.runtime.scoring import References
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
    """Writes model.json with the checksum of its new content."""
    values = {name: value for name, value in values.items() if name != CHECKSUM}
    (tmp_path / "model.json").write_text(json.dumps(dict(values, **{CHECKSUM: checksum_of(values)})), encoding="utf-8")


def test_content(exported):
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
    # the first layer leaves (T - 5) // 2 + 1 frames, which the mask counts; the second has windows of (5 - 1) * 2 + 1 frames
    _, description = write(trained_model(tmp_path, layers=[layer(padding="VALID", stride=[2]), layer(
        padding="VALID", dilation=[2])]), ExportOptions(None, None), tmp_path / "model.pb")
    assert [description.mask_frames(frames) for frames in (64, 5, 4)] == [30, 1, 0]
    assert [description.logit_frames(frames) for frames in (64, 21, 5)] == [22, 1, 0]
    assert description.subsampling == 2 and description.inputs[1].shape == (None, None)


@pytest.mark.parametrize("changes, message", [
    ({"blank": 4}, '"blank" is 4, expected 5'),
    ({"vocabulary": list("abcdefg")}, 'expected 7, the number of characters'),
    ({"vocabulary": list("aabcd")}, "a character twice"),
    ({"vocabulary": ["ab", "\0", "c", "d", "\ud800"]},
     r"invalid character: U\+0000 is a control .*\n.*U\+D800 is a lone surrogate"),
    ({"subsampling": 4}, '"subsampling" is 4, expected 2'),
    ({"frames": "2336"}, r"\[\"frames\"\] is '2336' \(str\), expected an integer"),
    ({"num_audio_features": 64}, 'as in feature_params\\["num_audio_features"'),
    ({"sample_rate": 8000}, '"sample_rate" is 8000, expected 16000, as in feature_params'),
    ({"sample_rate": 10 ** 12}, r'\["sample_rate"\] is 1000000000000 \(int\), expected .* at least 1 and at most 1000000'),
    ({"pad_to": 10 ** 9}, r'\["pad_to"\] is 1000000000 \(int\), expected .* at most 16384'),
    ({"pad_to": 8}, '"pad_to" is 8, expected 16, as in feature_params'),
    ({"with_features": True}, "expected \\('audio', 'audio_lengths'\\), by with_features"),
    ({"frames": 80}, r'"outputs" is \[2, 32, 6\], expected \[2, 40, 6\]'),
    ({"frames": 72}, '"frames" is 72, expected a multiple of pad_to, 16'),
    ({"batch_size": 3}, r'"inputs" is \[2, 32\], expected \[3, 32\], by batch_size, frames and mask_changes'),
    ({"mask_changes": 3}, "more than the number of frame_changes, 1"),
    ({"outputs": [{"name": "logits", "shape": [1], "dtype": "float32"}]}, "the output of every exported model"),
    ({"precison": "float32"}, 'precison"\\] is unknown \\(did you mean "precision"'),
    ({"format_version": 2}, "format version 2, this code supports versions up to 1"),
    ({"wer": {"value": -1, "data_set": "x"}}, "wer"),
    ({"step": 1.5}, r'\["step"\] is 1.5 \(float\), expected an integer'),
    ({"feature_params": []}, "feature_params.* expected a dict"),
    ({"sha256": {"pb": "0" * 64}}, "does not belong to .*model.pb"),
    ({"sha256": {}}, "it names a file with sha256 None"),
])
def test_a_json_that_contradicts_itself_or_the_model_is_refused(exported, tmp_path, changes, message):
    path, values = exported
    rewrite(tmp_path, dict(values, **changes))
    with pytest.raises(CheckpointError, match=message):
        read_description(path)


@pytest.mark.parametrize("changes, message", [
    ({"window_size": 1000}, r'"window_size"\] is 1000 s, which is 16000000 samples at 16000 Hz; expected at most 16384'),
    ({"window_stride": 1.5}, r'"window_stride"\] is 1.5 s, which is 24000 samples'),
    ({"window_size": 1e-9}, "0 and 160 samples at 16000 Hz; expected at least one each"),
    ({"window_size": True}, r'"window_size"\] is True \(bool\), expected a number above 0'),
    ({"sample_freq": 10 ** 7}, r'"sample_freq"\] is 10000000 \(int\), expected an integer at least 1 and at most 1000000'),
    ({"num_fft": 1 << 30}, r'"num_fft"\] is 1073741824 \(int\), expected an integer at least 1 and at most 16384'),
    ({"num_fft": 64}, 'num_fft.* is 64, shorter than the window of 320 samples'),
    ({"pad_to": 10 ** 9}, r'"pad_to"\] is 1000000000 \(int\), expected an integer at most 16384'),
    ({"num_audio_features": 10 ** 9}, r'"num_audio_features"\] is 1000000000 \(int\), expected .* at most 8193'),
    ({"backend": "kaldi"}, r'"backend"\] is .kaldi. .str., expected one of'),
    ({"features_mean": [1.0, 2.0]}, "has 2 values, expected one or num_audio_features = 8"),
    ({"window_sise": 0.02}, r'window_sise"\] is unknown'),
])
def test_wrong_and_implausible_parameters_of_features_are_refused(exported, tmp_path, changes, message):
    path, values = exported
    rewrite(tmp_path, dict(values, feature_params=dict(values["feature_params"], **changes)))
    with pytest.raises(CheckpointError, match=message):
        read_description(path)


def test_every_missing_parameter_of_features_is_listed(exported, tmp_path):
    path, values = exported
    assert sorted(values["feature_params"]) == sorted(FEATURE_PARAMETERS)
    for name in FEATURE_PARAMETERS:
        features = {key: value for key, value in values["feature_params"].items() if key != name}
        rewrite(tmp_path, dict(values, feature_params=features))
        if name in LATER_PARAMETERS:
            # exports of versions that did not have it are read
            assert name not in read_description(path).feature_params
            continue
        with pytest.raises(CheckpointError, match='"feature_params" lacks %s; defaults would compute other features' % name):
            read_description(path)
    rewrite(tmp_path, dict(values, feature_params={"num_audio_features": 8, "sample_freq": 16000}))
    with pytest.raises(CheckpointError, match="lacks input_type, backend, feature_engine, window, window_size, .*, pad_to;"):
        read_description(path)


def test_a_changed_value_that_contradicts_nothing_is_found(exported, tmp_path):
    path, values = exported
    for change in ({"vocabulary": list(" abx'")}, {"feature_params": dict(values["feature_params"], window_size=0.03)}):
        (tmp_path / "model.json").write_text(json.dumps(dict(values, **change)), encoding="utf-8")
        with pytest.raises(CheckpointError, match='model.json was changed after the export: its "checksum" is'):
            read_description(path)
    # the layout of the file does not matter, and earlier versions wrote no checksum
    (tmp_path / "model.json").write_text(json.dumps(values, sort_keys=True), encoding="utf-8")
    assert read_description(path).vocabulary == list(VOCABULARY)
    del values[CHECKSUM]
    (tmp_path / "model.json").write_text(json.dumps(values), encoding="utf-8")
    assert read_description(path).vocabulary == list(VOCABULARY)


@pytest.mark.parametrize("text, message", [
    (b"{", "is not JSON"),
    (b"", "is not JSON"),
    (b"\xff\xfe", "is not JSON"),
    (b"[1]", "expected a JSON object"),
    (b"[" * 100000, "is nested too deeply"),
    (b'{"a": ' * 100000, "is nested too deeply"),
    (b'{"step": NaN}', "the value NaN, which is not a JSON number"),
    (b'{"step": -Infinity}', "the value -Infinity"),
    (b'{"step": 1' + b"0" * 100000 + b"}", "a number of 100001 digits"),
    (b'{"step": 1, "blank": 2, "step": 3}', "the key 'step' twice"),
    (b'{"step": 1e308, "wer": {"value": 1e999, "data_set": "x"}}', "wer.* is inf"),
])
def test_a_file_that_is_not_a_description_is_refused(exported, tmp_path, text, message):
    (tmp_path / "model.json").write_bytes(text)
    with pytest.raises(CheckpointError, match=message):
        read_description(exported[0])


def test_missing_files_and_fields_are_named(exported, tmp_path):
    path, values = exported
    del values["frame_changes"]
    rewrite(tmp_path, values)
    with pytest.raises(CheckpointError, match='frame_changes"] is missing'):
        read_description(path)
    (tmp_path / "model.json").unlink()
    with pytest.raises(CheckpointError, match="model.json is missing; expected it next to"):
        read_description(path)
    with pytest.raises(CheckpointError, match="there is no model"):
        read_description(str(tmp_path / "other.pb"))


def test_an_export_that_could_not_be_read_is_refused_before_it_is_made(tmp_path):
    trained = trained_model(tmp_path)
    params = dict(trained.params, data_layer_params=dict(trained.params["data_layer_params"], window_stride=2.0))
    with pytest.raises(ConfigError, match="window_stride.* is 2 s, which is 32000 samples"):
        check_options(trained._replace(params=params), ExportOptions())
    with pytest.raises(ConfigError, match=r"the vocabulary has an invalid character: U\+200B \(ZERO WIDTH SPACE\) is a control"):
        check_options(trained._replace(vocabulary=(" ", "a", "\u200b")), ExportOptions())


def test_the_normalization_of_references(exported, tmp_path):
    path, values = exported
    # without steps the file is that of earlier versions, which would not know the fields
    assert "normalization" not in values and "unknown_characters" not in values
    assert read_description(path).text_normalization().apply("A  B!").text == "A  B!"
    steps = {"normalization": ["lower", {"map": {"&": " b "}}, "punctuation"], "unknown_characters": {"\u00e9": "c"}}
    write_description(read_description(path)._replace(**steps), path)
    description = read_description(path)
    assert {name: getattr(description, name) for name in steps} == steps
    manifest = tmp_path / "m.csv"
    manifest.write_text("wav_filename,wav_filesize,transcript\na.wav,1,A&C!\nb.wav,1,\u00e9 a\nc.wav,1,...\n", encoding="utf-8")
    rows = References([str(manifest)], description.text_normalization()).rows
    assert [row.transcript for row in rows.values()] == ["a b c", "c a", "..."]
    assert [row.problem is None for row in rows.values()] == [True, True, False]
    rewrite(tmp_path, dict(values, normalization=["lwoer"]))
    with pytest.raises(CheckpointError, match="lwoer"):
        read_description(path)


def test_an_export_carries_the_normalization_of_the_config(tmp_path):
    trained = trained_model(tmp_path, [layer(stride=[2])])
    trained.params["data_layer_params"].update(normalization=["lower"], unknown_characters="drop")
    write(trained, ExportOptions(2, 64), tmp_path / "model.pb")
    description = read_description(str(tmp_path / "model.pb"))
    assert (description.normalization, description.unknown_characters) == (["lower"], "drop")
