"""A checkpoint of other features: the note, and what it does not stumble over."""
import json

import pytest

from open_seq2seq.checkpoints.description import note_on_features
from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.features import PARAMETERS


def features(**given):
    return {"data_layer_params": check_parameters(PARAMETERS, dict({"num_audio_features": 64}, **given), "params", Report())}


def trained(folder, content):
    (folder / "resolved_config_2026-01-01_00-00-00.json").write_text(content)
    return str(folder / "model.ckpt-5")


def test_other_features_are_named_with_what_to_type(tmp_path, capsys):
    before = features(num_audio_features=40, dither=1e-5)
    del before["data_layer_params"]["dynamic_range"]  # a run of an earlier version
    checkpoint = trained(tmp_path, json.dumps({"params": {"train": before}}))
    note_on_features(features(num_audio_features=40, dither=0.0, pad_to=16, feature_engine="numpy"), checkpoint)
    assert capsys.readouterr().out == ""
    note_on_features(features(dynamic_range=40.0), checkpoint)
    note = capsys.readouterr().out
    assert "num_audio_features was 40 and is 64" in note and "dynamic_range was None and is 40.0" in note
    assert "--data_layer_params/num_audio_features=40 --data_layer_params/dynamic_range=None" in note


def test_other_transcripts_are_noted(tmp_path, capsys):
    checkpoint = trained(tmp_path, json.dumps({"params": {"train": features()}}))  # of an earlier version
    own = features()
    own["data_layer_params"].update(normalization=None, unknown_characters="refuse")
    note_on_features(own, checkpoint)
    assert capsys.readouterr().out == ""
    own["data_layer_params"]["normalization"] = ["lower"]
    note_on_features(own, checkpoint)
    note = capsys.readouterr().out
    assert checkpoint in note and "had no normalization, now {'normalization': ['lower']}" in note


def test_transcripts_of_a_task_are_compared_with_those_of_the_task(tmp_path, capsys):
    data = {"kind": "transcript", "column": None, "dataset_files": None, "vocab_file": None, "normalization": ["lower"],
            "unknown_characters": None}
    checkpoint = trained(tmp_path, json.dumps({"params": {"train": dict(features(), tasks={"sounds": {"data": data}})}}))
    own = dict(features(), selected_task="sounds")
    own["data_layer_params"]["normalization"] = ["lower"]
    note_on_features(own, checkpoint)
    assert capsys.readouterr().out == ""
    own["data_layer_params"]["normalization"] = ["upper"]
    note_on_features(own, checkpoint)
    assert "had {'normalization': ['lower']}, now {'normalization': ['upper']}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"params": {}}', '{"params": {"train": {}}}', '{"params": {"train": 3}}',
                                     '{"params": {"train": {"data_layer_params": null}}}'])
def test_an_unknown_training_is_not_compared(tmp_path, content, capsys):
    note_on_features(features(), trained(tmp_path, content))
    assert capsys.readouterr().out == ""
