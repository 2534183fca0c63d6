import json
import os
import zlib

import numpy as np
import pytest

from open_seq2seq.checkpoints.description import (
    require_trained_width,
    require_vocabulary,
    resolved_config_of,
    vocabulary_of,
)
from open_seq2seq.checkpoints.manifest import fault_of, is_damaged_manifest, manifest_path, read_manifest
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import CheckpointError

DATA = ".data-00000-of-00001"


@pytest.fixture
def checkpoint(tmp_path):
    """A checkpoint with 4,004 bytes of data."""
    path = str(tmp_path / "model.ckpt-5")
    write_checkpoint(path, {"a": np.arange(1000, dtype=np.float32), "b": np.float32(2.0)}, {"step": 5})
    return path


def flip_bit(path, position):
    """Flips one bit of a file."""
    with open(path, "r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 16]))


def test_the_manifest_has_sizes_and_checksums(checkpoint):
    manifest = read_manifest(checkpoint)
    assert manifest["step"] == 5 and sorted(manifest["files"]) == ["model.ckpt-5" + DATA, "model.ckpt-5.index"]
    for name, facts in manifest["files"].items():
        with open(os.path.join(os.path.dirname(checkpoint), name), "rb") as file:
            content = file.read()
        assert facts == {"bytes": len(content), "crc32": "%08x" % zlib.crc32(content)}
    assert manifest["files"]["model.ckpt-5" + DATA]["bytes"] == 4004
    assert fault_of(checkpoint) is None


MODEL = {"vocabulary": [" ", "a", "b"], "resolved_config": {"params": {"train": {
    "data_layer_params": {"window_size": 0.02}, "encoder_params": {"bn_epsilon": 1e-3, "convnet_layers": [{"dilation": [1]}]}}}}}


@pytest.fixture
def described(tmp_path):
    """A checkpoint whose manifest describes the model."""
    path = str(tmp_path / "model.ckpt-5")
    facts = dict(MODEL, step=5, rates={1: 0.5, 10: 1.0, 9: float("inf")})
    write_checkpoint(path, {"a": np.arange(1000, dtype=np.float32)}, facts)
    return path


def text_of(checkpoint):
    with open(manifest_path(checkpoint), encoding="utf-8") as file:
        return file.read()


def write_text(checkpoint, text):
    with open(manifest_path(checkpoint), "w", encoding="utf-8") as file:
        file.write(text)


@pytest.mark.parametrize("old, new", [
    ('"window_size": 0.02', '"window_size": 0.04'), ('"a"', '"c"'), ('"bn_epsilon": 0.001', '"bn_epsilon": 0.01'),
    ('"dilation"', '"dilatiom"'), ('"step": 5', '"step": 6'), ('"checksum"', '"checksun"'), ('"checksum": "', '"checksum": "0'),
    ('"manifest_version": 2', '"manifest_version": 1'), ('"manifest_version"', '"nanifest_version"'),
    ('"window_size": 0.02', '"window_size": 0.02, "window_size": 0.02'), ('"step": 5', '"step": 6, "step": 5'),
    ('"vocabulary": [', '"vocabulary": [], "vocabulary": ['), ('"checksum"', '"checksum": null, "checksum"')])
def test_a_changed_manifest_is_damaged(described, old, new):
    text = text_of(described)
    assert text.count(old) == 1 and vocabulary_of(described) == (" ", "a", "b")
    write_text(described, text.replace(old, new))
    assert read_manifest(described) is None and is_damaged_manifest(described) and fault_of(described) is None
    assert vocabulary_of(described) is None and resolved_config_of(described) is None
    # the run's own description is used, if there is one
    path = os.path.join(os.path.dirname(described), "resolved_config_2026-01-01.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"vocabulary": ["x"]}, file)
    assert vocabulary_of(described) == ("x",) and resolved_config_of(described) == ({"vocabulary": ["x"]}, path)


def test_every_changed_byte_of_the_content_is_found(described):
    text = text_of(described)
    manifest = read_manifest(described)
    for position in range(len(text)):
        write_text(described, text[:position] + chr(ord(text[position]) ^ 1) + text[position + 1:])
        # a blank between two entries may become another one
        assert read_manifest(described) in (None, manifest), text[max(position - 20, 0):position + 20]


def test_the_layout_of_a_manifest_does_not_matter_and_earlier_versions_had_no_checksum(described):
    manifest = json.loads(text_of(described))
    assert len(manifest["checksum"]) == 64 and manifest["manifest_version"] == 2
    write_text(described, json.dumps(dict(reversed(list(manifest.items()))), indent=4))
    assert read_manifest(described) == manifest
    del manifest["checksum"]
    write_text(described, json.dumps(dict(manifest, manifest_version=1)))
    assert not is_damaged_manifest(described)
    assert vocabulary_of(described) == (" ", "a", "b") and resolved_config_of(described)[0] == MODEL["resolved_config"]


def test_a_resolved_config_with_a_key_twice_is_refused(checkpoint):
    path = os.path.join(os.path.dirname(checkpoint), "resolved_config_2026-01-01.json")
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"params": {"train": {"bn_epsilon": 1, "bn_epsilon": 2}}}')
    with pytest.raises(CheckpointError, match="is not the resolved config of a run .it has the key 'bn_epsilon' twice"):
        resolved_config_of(checkpoint)


@pytest.mark.parametrize("content", [
    "[" * 100000, "[]", '{"files": []}', '{"files": {"a": 5}}', '{"files": {"a": {"bytes": "1", "crc32": "0"}}}',
    '{"files": {"a\\u0000b": {"bytes": 1, "crc32": "0"}}}', '{"files": {}, "vocabulary": [1, 2]}',
    '{"files": {}, "vocabulary": "abc"}', '{"files": {}, "resolved_config": [1]}',
    '{"files": {"a": {"bytes": 1e999, "crc32": "0"}}}', "\udcff"],
    ids=["nested", "list", "files", "entry", "types", "NUL", "characters", "vocabulary", "config", "infinite", "not UTF-8"])
def test_a_manifest_with_any_content_is_at_most_damaged(checkpoint, content):
    with open(manifest_path(checkpoint), "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    assert read_manifest(checkpoint) is None and fault_of(checkpoint) is None
    assert vocabulary_of(checkpoint) is None and resolved_config_of(checkpoint) is None
    require_vocabulary(checkpoint, tuple("abc"))
    require_trained_width({"width_multiplier": 1.0, "encoder_params": {"convnet_layers": []}}, checkpoint)
    flip_bit(checkpoint + DATA, 0)
    assert "TensorFlow cannot read it" in fault_of(checkpoint).reason


@pytest.mark.parametrize("content, message", [
    ("[" * 100000, "nested too deeply"), ("[]", "contains a list, expected an object"), ("{", "Expecting"), ("\udcff", "utf-8")],
    ids=["nested", "list", "cut", "not UTF-8"])
def test_a_resolved_config_with_any_content_is_an_error_that_names_it(checkpoint, content, message):
    os.remove(manifest_path(checkpoint))
    path = os.path.join(os.path.dirname(checkpoint), "resolved_config_2026-01-01.json")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    with pytest.raises(CheckpointError, match="resolved_config_2026-01-01.json is not the resolved config of a run .*" + message):
        resolved_config_of(checkpoint)
    assert vocabulary_of(checkpoint) is None


@pytest.mark.parametrize("trained", [
    {}, [], {"train": 5}, {"train": {"width_multiplier": "x", "encoder_params": {"convnet_layers": [{"num_channels": 4}]}}},
    {"train": {"width_multiplier": 10 ** 400, "encoder_params": {"convnet_layers": [{"num_channels": 4}]}}},
    {"train": {"width_multiplier": 0.5, "encoder_params": {"convnet_layers": 7}}}])
def test_an_unknown_width_is_left_to_the_check_of_shapes(checkpoint, trained):
    os.remove(manifest_path(checkpoint))
    with open(os.path.join(os.path.dirname(checkpoint), "resolved_config_2026-01-01.json"), "w") as file:
        json.dump({"params": trained, "vocabulary": [1, "a"]}, file)
    require_trained_width({"width_multiplier": 1.0, "encoder_params": {"convnet_layers": [{"num_channels": 8}]}}, checkpoint)
    assert vocabulary_of(checkpoint) is None


@pytest.mark.parametrize("with_manifest", [True, False])
@pytest.mark.parametrize("extension, position", [(DATA, 0), (DATA, 4003), (".index", 3), (".index", 40)])
def test_a_single_bit_is_found(checkpoint, with_manifest, extension, position):
    if not with_manifest:
        os.remove(manifest_path(checkpoint))
    assert fault_of(checkpoint) is None
    flip_bit(checkpoint + extension, position)
    fault = fault_of(checkpoint)
    assert fault.is_damage
    assert ("has the checksum" if with_manifest else "TensorFlow cannot read it") in fault.reason


@pytest.mark.parametrize("with_manifest, reason", [(True, "has 4003 bytes, 4004 were written"),
                                                   (False, "TensorFlow cannot read it")])
def test_a_file_cut_short_is_found(checkpoint, with_manifest, reason):
    if not with_manifest:
        os.remove(manifest_path(checkpoint))
    with open(checkpoint + DATA, "r+b") as file:
        file.truncate(4003)
    fault = fault_of(checkpoint)
    assert fault.is_damage and reason in fault.reason


@pytest.mark.parametrize("extension, reason", [(DATA, "data-* is missing"), (".index", "index is missing")])
def test_a_missing_file_is_found(checkpoint, extension, reason):
    os.remove(checkpoint + extension)
    fault = fault_of(checkpoint)
    assert fault.is_damage and reason in fault.reason


@pytest.mark.parametrize("content", ["", '{"files": ', "[]", '{"files": {"model.ckpt-5.index": {}}}', '{"files": 3}'])
def test_with_a_damaged_manifest_tensorflow_checks_the_tensors(checkpoint, content):
    with open(manifest_path(checkpoint), "w") as file:
        file.write(content)
    assert fault_of(checkpoint) is None
    flip_bit(checkpoint + DATA, 100)
    assert "TensorFlow cannot read it" in fault_of(checkpoint).reason


def test_a_deleted_checkpoint_is_not_damaged(tmp_path):
    fault = fault_of(str(tmp_path / "model.ckpt-7"))
    assert not fault.is_damage and fault.reason == "model.ckpt-7.index is missing"
