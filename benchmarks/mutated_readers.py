"""The readers of files that benchmarks/mutated_inputs.py tries: their valid inputs, and which results are wrong."""
import contextlib
import io
import itertools
import json
import os
import tempfile
import unicodedata

import numpy as np
import soundfile

from open_seq2seq.data.speech2text.audio import MAX_MISSING_FRACTION, inspect_audio, read_audio
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import JasperError
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.transcription.audio_stream import blocks_of_file

JOINED_WEIGHT = 3
SAMPLE_RATE = 16000


class Silent(Exception):
    """A wrong input was accepted without a word."""


class Reader:
    """One reader of files.

    Attributes:
      name: for the table.
      inputs: list of bytes, valid inputs.
      is_text: whether text mutations apply.
    """

    name, is_text, suffix = None, True, ""
    inputs = ()

    def read(self, data, folder):
        """Reads an input.

        Returns:
          (a value that can be compared, list of notes)

        Raises:
          JasperError: the input is refused.
          Silent: a wrong input was accepted.
        """
        raise NotImplementedError

    @staticmethod
    def unverifiable(data):
        """List of (start, end) of the fields of ``data`` whose damage nobody can notice; they are left as they are."""
        return []

    def announced(self, original, valid, kind, data, folder):
        """What can be expected of ``data``, a mutation of ``valid``, which gave ``original``."""
        return original

    def judge(self, original, value):
        """Raises Silent when ``value`` cannot be right for a mutation of the input that gave ``original``."""

    def judge_noted(self, original, value, notes):
        """As ``judge``, for an input that is accepted with ``notes``."""

    def _write(self, data, folder, name):
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path


def _tone(num_samples, channels=1):
    time_axis = np.arange(num_samples) / float(SAMPLE_RATE)
    samples = 0.3 * np.sin(2 * np.pi * 300 * time_axis) * (1 + np.sin(2 * np.pi * 3 * time_axis)) / 2
    samples += 0.01 * np.random.RandomState(num_samples).randn(num_samples)
    return samples if channels == 1 else np.stack([samples, 0.5 * samples], 1)


def _encoded(container, subtype, num_samples, channels=1):
    buffer = io.BytesIO()
    soundfile.write(buffer, _tone(num_samples, channels), SAMPLE_RATE, format=container, subtype=subtype)
    return buffer.getvalue()


def _joined_files():
    """(name, list of the parts' bytes) of files that consist of several, and of streams that do not state their length."""
    ogg, opus, mp3, wav = (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_16"))
    for name, (container, subtype) in (("chained Vorbis", ogg), ("chained Opus", opus), ("joined MP3", mp3), ("joined WAV", wav)):
        yield name, [_encoded(container, subtype, length) for length in (12037, 11001)]
        yield name + " of three", [_encoded(container, subtype, length) for length in (9001, 12037, 11001)]
    yield "Vorbis and Opus", [_encoded(*ogg, 12037), _encoded(*opus, 11001)]
    yield "mono and stereo Vorbis", [_encoded(*ogg, 12037), _encoded(*ogg, 11001, 2)]
    id3v1, id3v2 = b"TAG" + b"a" * 125, b"ID3\3\0\0\0\0\2\0" + bytes(256)
    yield "joined MP3 with tags", [
        id3v2 + _encoded(*mp3, 12037) + id3v1, id3v2 + _encoded(*mp3, 11001) + id3v1]
    for name, (container, subtype) in (("Vorbis", ogg), ("Opus", opus), ("MP3", mp3)):
        whole = _encoded(container, subtype, 60037)
        # nearly as much as is tolerated
        yield name + " and other data", [whole + _encoded(*wav, 12037)[44:][:len(whole) // 110]]
        yield name + " and zeros", [whole + bytes(4096)]
    flac = bytearray(_encoded("FLAC", "PCM_16", 24037))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    yield "FLAC of unknown length", [bytes(flac)]


class AudioReader(Reader):
    """Scan, training and transcription, which must agree."""

    name, is_text = "audio", False
    CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST", "VOC")
    # a block of these encodings is a large part of a short file
    LONG = ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32")

    def __init__(self):
        self.inputs = []
        for container in self.CONTAINERS:
            for subtype in sorted(soundfile.available_subtypes(container)):
                for channels in (1, 2):
                    samples = _tone(120037 if subtype in self.LONG else 12037, channels)
                    buffer = io.BytesIO()
                    try:
                        soundfile.write(buffer, samples, SAMPLE_RATE, format=container, subtype=subtype)
                    except (RuntimeError, ValueError, AssertionError):      # libsndfile announces more than it writes
                        continue
                    self.inputs.append(buffer.getvalue())
        self.inputs = [data for data in self.inputs if self._is_read(data)]
        joined = [(name, b"".join(parts)) for name, parts in _joined_files()]
        self._ends = {b"".join(parts): list(itertools.accumulate(map(len, parts))) for _, parts in _joined_files()}
        unread = [name for name, data in joined if not self._is_read(data)]
        if unread:
            raise AssertionError("these files are not read before they are damaged: %s" % ", ".join(unread))
        # their seams, too, are damaged often enough
        self.inputs += JOINED_WEIGHT * [data for _, data in joined]

    def _is_read(self, data):
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.read(data, folder)
            except JasperError:
                return False
        return True

    def read(self, data, folder):
        path, answers, notes = self._write(data, folder, "a.audio"), [], []

        def scan():
            info = inspect_audio(path, SAMPLE_RATE)
            notes.extend(info.notes)
            return info.num_samples

        for function in (scan, lambda: len(read_audio(path, SAMPLE_RATE)),
                         lambda: sum(map(len, blocks_of_file(path, SAMPLE_RATE, warn=notes.append)))):
            try:
                answers.append(function())
            except JasperError as error:
                answers.append(error)
        scanned, read, streamed = answers
        if isinstance(read, JasperError) and isinstance(streamed, JasperError):
            raise read
        if not scanned == read == streamed:
            raise Silent("scan, training and transcription disagree: %s" % answers)
        return read, notes

    @staticmethod
    def unverifiable(data):
        """Sample rates and encodings that a container states once only; docs/audio.md lists them."""
        found = []
        for start, signature, offset, length in ((b"FORM", b"COMM", 16, 10), (b"caff", b"desc", 12, 8),
                                                 (b".snd", b".snd", 12, 12), (b"NIST", b"sample_rate", 0, 25)):
            if data.startswith(start):
                place = data.index(signature) + offset
                found.append((place, place + length))
        if data.startswith(b"Creative"):
            found.append((30, 36))
        return found

    def announced(self, original, valid, kind, data, folder):
        # nothing in a file announces that others were joined to it
        if kind == "cut":
            end = next((end for end in self._ends.get(valid, ()) if len(data) <= end), len(valid))
            return original if end == len(valid) else self.read(valid[:end], folder)[0]
        return original

    def judge(self, original, value):
        if abs(value - original) > MAX_MISSING_FRACTION * original:
            raise Silent("%d samples became %d" % (original, value))

    def judge_noted(self, original, value, notes):
        # another sample rate changes the number of samples after resampling; no other field contradicts it.
        # More samples are possible: the silence that an MP3 encoder adds. A cut within a sample loses all of it
        if not any("sample rate" in note for note in notes) and value + 1 < (1 - MAX_MISSING_FRACTION) * original:
            raise Silent("%d samples became %d, with a note that does not excuse it" % (original, value))


class UploadReader(AudioReader):
    """A form with a recording, as a browser sends it."""

    name = "upload"
    BOUNDARY = b"AaB03x"

    def __init__(self):
        buffer = io.BytesIO()
        soundfile.write(buffer, _tone(12037), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        self._ends = {}
        self._wav = buffer.getvalue()
        self.inputs = [b"".join([
            b"--" + self.BOUNDARY, b'\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n',
            b"Content-Type: audio/wav\r\n\r\n", self._wav, b"\r\n--" + self.BOUNDARY + b"--\r\n"])]

    def read(self, data, folder):
        from werkzeug.wrappers import Request

        from open_seq2seq.transcription.web.http_error import HttpError
        from open_seq2seq.transcription.web.sound import check_sound, write_playback
        from open_seq2seq.transcription.web.uploads import RequestBody, receive

        path = os.path.join(folder, "upload")
        if os.path.exists(path):
            os.remove(path)
        request = Request({"REQUEST_METHOD": "POST", "QUERY_STRING": "", "CONTENT_LENGTH": str(len(data)),
                           "CONTENT_TYPE": "multipart/form-data; boundary=" + self.BOUNDARY.decode(),
                           "wsgi.input": RequestBody(io.BufferedReader(io.BytesIO(data)), len(data))})
        try:
            receive(request, path, 1 << 20)
        except HttpError as error:
            raise JasperError(str(error))
        notes = io.StringIO()
        with contextlib.redirect_stderr(notes):
            check_sound(path, 60.0)
            written = write_playback(path, os.path.join(folder, "playback.wav"), SAMPLE_RATE, 60.0, "upload")
        return written, notes.getvalue().splitlines()


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
