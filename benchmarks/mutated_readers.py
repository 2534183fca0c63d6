"""The readers of files that benchmarks/mutated_inputs.py tries: their valid inputs, and which results are wrong."""
import contextlib
import io
import json
import os
import tempfile
import unicodedata

import numpy as np
from mutated_audio import SAMPLE_RATE, AudioReader, UploadReader
from mutations import Reader, Silent

from open_seq2seq.data.speech2text.audio import inspect_audio
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import JasperError
from open_seq2seq.text.vocabulary import Vocabulary


class ManifestReader(Reader):
    name = "manifest"
    inputs = ["wav_filename,wav_filesize,transcript\na.wav,1,five nine\nb/\u00e4.wav,2,\"four, six\"\nc.wav,3,\n".encode("utf-8"),
              b"transcript,wav_filename,wav_filesize\r\none two,a b.wav,0\r\nthree,c.flac,10\r\n"]

    def read(self, data, folder):
        notes = []
        rows = read_manifest(self._write(data, folder, "a.csv"), note=notes.append)
        for row in rows:
            if row.problem is None and (row.transcript != unicodedata.normalize("NFC", row.transcript.strip())
                                        or row.wav_filename != row.wav_filename.strip() or not row.wav_filename):
                raise Silent("row %d: %r" % (row.row, row))
            if row.problem is None:
                with contextlib.suppress(JasperError):
                    inspect_audio(row.audio_path, SAMPLE_RATE)
        return [row._replace(manifest="", audio_path="") for row in rows], notes


class VocabularyReader(Reader):
    name = "vocabulary"
    inputs = ["\n".join([" "] + [chr(code) for code in range(97, 123)] + ["'"]).encode("utf-8") + b"\n",
              "\u0430\n\u0431\n\u0451\n \n".encode("utf-8")]

    def read(self, data, folder):
        notes = io.StringIO()
        with contextlib.redirect_stdout(notes), contextlib.redirect_stderr(notes):
            characters = Vocabulary.from_file(self._write(data, folder, "vocabulary.txt")).characters
        for character in characters:
            if len(character) != 1 or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
                raise Silent("%s is a label" % ascii(character))
        if len(set(characters)) < len(characters):
            raise Silent("a label occurs twice")
        return tuple(characters), notes.getvalue().splitlines()


class RankTableReader(Reader):
    name = "rank table"
    DEVICES = [{"device_id": str(number), "device_ip": "192.1.%d.8" % (number + 2), "rank_id": str(number)}
               for number in range(2)]
    inputs = [json.dumps({"version": "1.0", "server_count": "1", "status": "completed", "server_list": [
        {"server_id": "10.0.0.1", "device": DEVICES}]}, indent=1).encode()]

    def read(self, data, folder):
        from open_seq2seq.rank_tables.rank_table import read_rank_table

        table = read_rank_table(self._write(data, folder, "table.json"))
        ranks = sorted(device.rank for device in table.devices)
        if ranks != list(range(len(ranks))):
            raise Silent("ranks %s" % ranks)
        _require_no_repeated_keys(data)
        return table._replace(path=""), []


def _require_no_repeated_keys(data):
    def checked(pairs):
        if len(dict(pairs)) < len(pairs):
            raise Silent("a key occurs twice")
        return dict(pairs)
    with contextlib.suppress(ValueError):
        json.loads(data.decode("utf-8"), object_pairs_hook=checked)


class ConfigReader(Reader):
    name = "config"
    inputs = [b"""
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.decoders import FullyConnectedCTCDecoder
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.losses import CTCLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.optimizers.lr_policies import poly_decay

base_model = Speech2Text
base_params = {
    "batch_size_per_gpu": 4, "max_steps": 10, "logdir": "run", "print_loss_steps": 5, "optimizer": "Momentum",
    "optimizer_params": {"momentum": 0.9}, "lr_policy": poly_decay, "lr_policy_params": {"learning_rate": 0.1},
    "encoder": TDNNEncoder,
    "encoder_params": {
        "convnet_layers": [{"type": "conv1d", "repeat": 1, "kernel_size": [5], "stride": [2], "num_channels": 8}],
        "dropout_keep_prob": 1.0, "activation_fn": None},
    "decoder": FullyConnectedCTCDecoder, "loss": CTCLoss, "data_layer": Speech2TextDataLayer,
    "data_layer_params": {"num_audio_features": 16, "input_type": "logfbank", "vocab_file": "vocab.txt",
                          "dataset_files": ["a.csv"]},
}
"""]

    def read(self, data, folder):
        from open_seq2seq.experiment.loading import load_experiment

        notes = io.StringIO()
        with contextlib.redirect_stdout(notes), contextlib.redirect_stderr(notes):
            experiment = load_experiment(self._write(data, folder, "config.py"), "train")
        return repr(experiment.params), list(experiment.notes)


class OverrideReader(ConfigReader):
    name = "override"
    inputs = [b"--encoder_params/convnet_layers=[{'type':'conv1d','repeat':1,'kernel_size':[5],'stride':[1],'num_channels':8}]",
              b"--lr_policy_params={'learning_rate':0.01,'power':2.0}", b"--max_steps=100", b"--optimizer_params/momentum=0.95",
              b"--data_layer_params/dataset_files=['a.csv','b.csv']"]

    def read(self, data, folder):
        from open_seq2seq.config.overrides import parse_overrides
        from open_seq2seq.experiment.loading import load_experiment

        path = self._write(ConfigReader.inputs[0], folder, "config.py")
        notes = io.StringIO()
        with contextlib.redirect_stdout(notes), contextlib.redirect_stderr(notes):
            experiment = load_experiment(path, "train", parse_overrides([os.fsdecode(data)]))
        return repr(experiment.params), list(experiment.notes)


class CheckpointManifestReader(Reader):
    name = "checkpoint JSON"
    inputs = [json.dumps({"manifest_version": 1, "step": 100, "epoch": 2, "metric": 0.25, "vocabulary": ["a", "b"],
                          "resolved_config": {"encoder_params": {"convnet_layers": [{"num_channels": 8}]}},
                          "files": {"model.ckpt-100.index": {"bytes": 10, "crc32": "00000000"}}}, indent=1).encode()]

    def read(self, data, folder):
        from open_seq2seq.checkpoints.description import require_trained_width, require_vocabulary
        from open_seq2seq.checkpoints.manifest import fault_of
        from open_seq2seq.checkpoints.manifest import read_manifest as read_checkpoint_manifest

        self._write(data, folder, "model.ckpt-100.json")
        checkpoint = os.path.join(folder, "model.ckpt-100")
        manifest = read_checkpoint_manifest(checkpoint)
        if manifest is None:
            raise JasperError("damaged")
        fault = fault_of(checkpoint)
        with contextlib.suppress(JasperError):
            require_vocabulary(checkpoint, ["a", "b"])
        with contextlib.suppress(JasperError):
            require_trained_width({"encoder_params": {"convnet_layers": [{"num_channels": 8}]}}, checkpoint)
        # the files that the manifest lists are not there, so that the checkpoint must count as damaged
        if manifest["files"] and fault is None:
            raise Silent("a checkpoint without its files is valid")
        return json.dumps(manifest, sort_keys=True), []


class ExportedModelReader(Reader):
    name = "exported JSON"
    VALUES = {
        "format_version": 1, "inputs": [{"name": "input", "shape": [2, 1, 64, 8], "dtype": "float32"},
                                        {"name": "input_reshape", "shape": [2, 32], "dtype": "float32"}],
        "outputs": [{"name": "ForwardPass/fully_connected_ctc_decoder/logits", "shape": [2, 32, 6], "dtype": "float32"}],
        "batch_size": 2, "frames": 64, "num_audio_features": 8,
        "feature_params": {
            "num_audio_features": 8, "input_type": "logfbank", "backend": "librosa", "feature_engine": "graph",
            "window": "hanning", "window_size": 0.02, "window_stride": 0.01, "sample_freq": 16000, "num_fft": None,
            "norm_per_feature": True, "dither": 1e-05, "gain": None, "features_mean": None, "features_std_dev": None,
            "pad_to": 16},
        "with_features": False, "sample_rate": 16000, "vocabulary": [" ", "a", "b", "c", "'"], "blank": 5, "subsampling": 2,
        "frame_changes": [{"kernel_size": [5], "stride": [2], "dilation": [1], "padding": "SAME"}], "mask_changes": 1,
        "pad_to": 16, "depends_on_padding": False, "folded": True, "convolutions": "plain", "precision": "float32",
        "checkpoint": "model.ckpt-7",
        "step": 7, "config_sha256": "0" * 64, "wer": None, "project_version": "0.1.0", "sha256": {}}
    GRAPH = b"stands for a graph: the description is read before it"

    def __init__(self):
        from open_seq2seq.export.description import ExportDescription, write_description

        with tempfile.TemporaryDirectory() as folder:
            path = self._write(self.GRAPH, folder, "model.pb")
            write_description(ExportDescription.of(self.VALUES, "the benchmark's model"), path)
            with open(os.path.join(folder, "model.json"), "rb") as file:
                self.inputs = [file.read()]

    def read(self, data, folder):
        from open_seq2seq.export.description import read_description

        path = self._write(self.GRAPH, folder, "model.pb")
        self._write(data, folder, "model.json")
        return json.dumps(read_description(path).as_dict(), sort_keys=True), []

    def judge(self, original, value):
        if value != original:
            raise Silent("another model is described")


class MetricsReader(Reader):
    name = "metrics.jsonl"
    inputs = ["\n".join(json.dumps(entry) for entry in [
        {"kind": "start", "step": 0, "time": 1.7e9},
        {"kind": "train", "step": 10, "time": 1.7e9, "loss": 3.5, "learning_rate": 0.1},
        {"kind": "train", "step": 20, "time": 1.7e9, "loss": 2.5, "learning_rate": 0.1},
        {"kind": "eval", "step": 20, "time": 1.7e9, "data_set": "dev.csv", "wer": 0.5, "loss": 2.0}]).encode() + b"\n"]

    def read(self, data, folder):
        from open_seq2seq.training.metrics import read_metrics
        from open_seq2seq.training.report.curves import panels
        from open_seq2seq.training.report.summary import summary

        notes = io.StringIO()
        with contextlib.redirect_stdout(notes), contextlib.redirect_stderr(notes):
            entries = read_metrics(self._write(data, folder, "metrics.jsonl"))
            if not entries:      # the report says so
                raise JasperError("no measurements")
            panels(entries)
            summary(entries)
        return json.dumps(entries, sort_keys=True), notes.getvalue().splitlines()


class BinReader(Reader):
    name, is_text = "bins", False
    FRAMES, FEATURES = 32, 8

    def __init__(self):
        random_numbers = np.random.RandomState(0)
        self.inputs = [random_numbers.randn(self.FRAMES, self.FEATURES).astype("<f4").tobytes()]
        self._mask = np.ones(self.FRAMES // 2, "<f4").tobytes()

    def read(self, data, folder):
        from open_seq2seq.export.ascend.bins import FEATURES_FOLDER, MASK_FOLDER, InputBins

        for kind, content in ((FEATURES_FOLDER, data), (MASK_FOLDER, self._mask)):
            os.makedirs(os.path.join(folder, kind), exist_ok=True)
            self._write(content, folder, os.path.join(kind, "a.bin"))
        bins = InputBins(folder, self.FEATURES, lambda frames: frames // 2, self.FRAMES)
        features, mask = bins.read("a")
        if features.shape != (1, self.FRAMES, self.FEATURES) or not np.isfinite(features).all() or len(mask) != self.FRAMES // 2:
            raise Silent("features %s, mask %s" % (features.shape, mask.shape))
        return features.tobytes(), []


READERS = (AudioReader, UploadReader, ManifestReader, VocabularyReader, RankTableReader, ConfigReader, OverrideReader,
           CheckpointManifestReader, ExportedModelReader, MetricsReader, BinReader)
