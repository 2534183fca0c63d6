"""The targets of pre-training: MFCC, clusters and labels have fairseq's numbers; the chain of commands, and what it refuses."""
import collections
import json
import os

import joblib
import numpy as np
import pytest
import soundfile

from open_seq2seq.data.fairseq_files.audio_list import write_audio_list
from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription, FeatureShards, shard_range, write_shard
from open_seq2seq.data.fairseq_files.frame_labels import read_frame_labels
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.modes import run
from open_seq2seq.pretraining import kmeans
from open_seq2seq.pretraining.clusters import Clusters
from open_seq2seq.pretraining.kmeans import learn_clusters
from open_seq2seq.pretraining.manifest import main as list_files
from open_seq2seq.pretraining.mfcc import Mfcc

Golden = collections.namedtuple("Golden", "waveforms mfcc fbank clusters inertia")


@pytest.fixture(scope="module")
def golden(goldens):
    """Waveforms and MFCC of all 35 utterances by name, log mel energies of 2, the file of k-means, the spread of its inertia."""
    folder = os.path.join(goldens, "hubert")
    mfcc, clusters, audio = (np.load(os.path.join(folder, name)) for name in ("mfcc.npz", "kmeans.npz", "audio_30.npz"))
    waveforms, features, fbank = {}, {}, {}
    for archive in (mfcc, clusters):
        for name in archive.files:
            kind, _, utterance = name.partition("/")
            if kind == "samples":
                waveforms[utterance], features[utterance] = archive[name], archive["mfcc39/" + utterance]
            elif kind == "fbank_log23":
                fbank[utterance] = archive[name]
    for name, end, length in zip(clusters["train_names"], np.cumsum(clusters["train_len"]), clusters["train_len"]):
        waveforms[str(name)], features[str(name)] = audio[str(name)], clusters["train_mfcc39"][end - length:end]
    with open(os.path.join(folder, "kmeans_inertia.json"), encoding="utf-8") as file:
        inertia = json.load(file)["inertia_per_frame_by_seed"]
    return Golden({name: samples.astype(np.float32) / 32768 for name, samples in waveforms.items()}, features, fbank, clusters,
                  inertia)


@pytest.mark.shared
def test_mfcc_are_torchaudios(golden):
    names = sorted(golden.waveforms)
    found, lengths = Mfcc()([golden.waveforms[name] for name in names])
    expected = np.concatenate([golden.mfcc[name] for name in names])
    assert lengths.tolist() == [len(golden.mfcc[name]) for name in names]
    # the float32 transform decides the few frames with mel bins at its rounding error, see the module
    worst = abs(found - expected).max(1)
    assert (worst < 1e-3).mean() > 0.985 and worst.max() < 2.5e-3 and abs(found - expected).mean() < 5e-5
    # their origin: nothing else than log energies 1e-3 apart, in those bins
    for name, energies in golden.fbank.items():
        frames = np.stack([golden.waveforms[name][160 * place:160 * place + 400] for place in range(len(energies))])
        assert abs(Mfcc()._log_mel(frames) - energies).max() < 1e-3


def test_utterances_do_not_change_each_other():
    random = np.random.RandomState(0)
    waveforms = [random.randn(length).astype(np.float32) * 0.1 for length in (4000, 399, 400, 1000, 0)]
    together, lengths = Mfcc()(waveforms)
    assert lengths.tolist() == [23, 0, 1, 4, 0]
    np.testing.assert_allclose(together, np.concatenate([Mfcc()([waveform])[0] for waveform in waveforms]), atol=1e-5)
    # differences by hand: slopes over 5 frames with repeated ends
    cepstra = np.pad(together[:23, :13], ((2, 2), (0, 0)), "edge")
    slopes = (2 * (cepstra[4:] - cepstra[:-4]) + cepstra[3:-1] - cepstra[1:-3]) / 10
    np.testing.assert_allclose(together[:23, 13:26], slopes, atol=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("clusters", [10, 50])
def test_labels_are_fairseqs(golden, clusters):
    found = Clusters(golden.clusters["centroids_%d" % clusters])
    assert (found.nearest(golden.clusters["train_mfcc39"]) == golden.clusters["train_labels_%d" % clusters]).all()
    names = [name[8:] for name in golden.clusters.files if name.startswith("samples/")]
    features, _ = Mfcc()([golden.waveforms[name] for name in names])
    expected = np.concatenate([golden.clusters["labels_%d/%s" % (clusters, name)] for name in names])
    assert (found.nearest(features) == expected).all()


@pytest.mark.shared
@pytest.mark.parametrize("clusters", [10, 50])
def test_inertia_is_that_of_fairseqs_script(golden, clusters):
    values = golden.clusters["train_mfcc39"]
    found = [Clusters(kmeans.fit(values, clusters, np.random.RandomState(seed)).cluster_centers_).distances(values).mean()
             for seed in range(5)]
    spreads = [golden.inertia[version][str(clusters)] for version in golden.inertia]
    low = min(spread["mean"] - 3 * spread["std"] for spread in spreads)
    assert low < np.mean(found) < max(spread["mean"] + 3 * spread["std"] for spread in spreads)


@pytest.fixture
def corpus(tmp_path):
    """A folder of 12 recordings of different tones, 2 of them for validation, and their lists."""
    random = np.random.RandomState(1)
    for number in range(12):
        samples = 0.3 * np.sin(np.arange(4000 + 700 * number) * (0.05 + 0.02 * number)) + 0.01 * random.randn(4000 + 700 * number)
        soundfile.write(str(tmp_path / ("%02d.wav" % number)), samples, 16000, subtype="PCM_16")
    for name, numbers in (("train", range(10)), ("valid", (10, 11))):
        write_audio_list(str(tmp_path / (name + ".tsv")), tmp_path,
                         [("%02d.wav" % number, 4000 + 700 * number) for number in numbers])
    return tmp_path


def run_mode(mode, folder, *flags):
    return run(["--mode=" + mode, "--features=%s" % (folder / "features")] + list(flags))


def dumped(folder, *flags):
    run_mode("features", folder, "--manifest=%s,%s" % (folder / "train.tsv", folder / "valid.tsv"), *flags)


def test_chain(corpus, capsys):
    dumped(corpus, "--nshard=2")
    features = corpus / "features"
    shards = FeatureShards(str(features), "train")
    # a reader of fairseq: an array, and a line of frames for each utterance
    assert np.load(str(features / "train_1_2.npy")).shape == (sum(map(int, open(str(features / "train_1_2.len")))), 39)
    expected, lengths = Mfcc()([soundfile.read(str(corpus / ("%02d.wav" % number)), dtype="float32")[0] for number in range(10)])
    np.testing.assert_allclose(np.concatenate([shards.features(0), shards.features(1)]), expected, atol=1e-4)
    assert np.concatenate(shards.lengths).tolist() == lengths.tolist()
    # interrupted after the first shard: only the missing one is computed
    before = (features / "train_0_2.npy").stat()
    os.remove(str(features / "train_1_2.npy"))
    with pytest.raises(DataError, match=r"1 of 2 shards of train; missing: 1"):
        run_mode("kmeans", corpus, "--clusters=8")
    dumped(corpus, "--nshard=2")
    assert (features / "train_0_2.npy").stat().st_mtime_ns == before.st_mtime_ns
    run_mode("kmeans", corpus, "--clusters=8", "--percent=0.5")
    with pytest.raises(UsageError, match="has the clusters of train. One set of clusters serves all splits.*--mode=labels"):
        run_mode("kmeans", corpus, "--clusters=8", "--percent=0.5", "--split=valid")
    run_mode("labels", corpus)
    assert "held-out frames" in capsys.readouterr().out
    clusters = Clusters.read(str(features / "clusters.npz"))
    labels = read_frame_labels(str(features / "train.km"))
    assert labels.values.tolist() == clusters.nearest(expected).tolist() and labels.lengths.tolist() == lengths.tolist()
    assert (features / "dict.km.txt").read_text() == "".join("%d 1\n" % cluster for cluster in range(8))
    # fairseq's own way to the same labels
    model = joblib.load(str(features / "clusters.npz.joblib"))
    assert model.predict(expected).tolist() == labels.values.tolist()
    run_mode("labels", corpus, "--clusters_file=%s" % (features / "clusters.npz.joblib"))
    run_mode("kmeans", corpus, "--clusters=5", "--clusters_file=%s" % (corpus / "five.npz"))
    with pytest.raises(UsageError, match="valid.km has labels of other clusters|train.km has labels of other clusters"):
        run_mode("labels", corpus, "--clusters_file=%s" % (corpus / "five.npz"), "--split=valid")
    with pytest.raises(UsageError, match="clusters.npz exists and has different clusters .clusters 8, expected 9"):
        run_mode("kmeans", corpus, "--clusters=9", "--percent=0.5")
    with pytest.raises(UsageError, match="train_0_2.npy exists and holds mfcc.*--features=FOLDER"):
        dumped(corpus, "--nshard=2", "--sample_rate=8000")


def test_audio_that_contradicts_the_list_leaves_no_shard(corpus):
    write_audio_list(str(corpus / "train.tsv"), corpus, [("00.wav", 4000), ("01.wav", 4701)])
    with pytest.raises(DataError, match=r"train.tsv:3: 01.wav: the list says 4701 samples, the file has 4700"):
        dumped(corpus)
    os.remove(str(corpus / "01.wav"))
    with pytest.raises(DataError, match=r"train.tsv:3: 01.wav: missing file"):
        dumped(corpus)
    assert os.listdir(str(corpus / "features")) == []


def shard(folder, values, lengths, split="train", size=None):
    folder.mkdir(exist_ok=True)
    np.save(str(folder / ("%s_0_1.npy" % split)), values)
    (folder / ("%s_0_1.len" % split)).write_text("".join("%d\n" % length for length in lengths))


@pytest.mark.parametrize("values, lengths, flags, message", [
    (np.zeros([5, 3], np.float32), [5], ["--clusters=6"], "--clusters is 6, and the features of train have 5 frames"),
    (np.array([[0.0], [0.0], [np.nan]], np.float32), [1, 2], ["--clusters=2"], r"frame 2, in utterance 2 .* is NaN"),
    (np.zeros([5, 3], np.float32), [4], [], "has 5 frames, and the sum of .*len is 4"),
    (np.zeros([5], np.float32), [5], [], r"has shape \(5,\)"),
    (np.array([{}]), [1], [], "cannot be read as an array")])
def test_invalid_features_of_others(tmp_path, values, lengths, flags, message):
    shard(tmp_path / "features", values, lengths)
    with pytest.raises(DataError, match=message):
        run_mode("kmeans", tmp_path, *flags)
    assert not (tmp_path / "features" / "clusters.npz").exists()


def test_features_of_another_size_and_unknown_rate(tmp_path):
    shard(tmp_path / "features", np.random.RandomState(0).randn(20, 3).astype(np.float32), [12, 8])
    run_mode("kmeans", tmp_path, "--clusters=4")
    with pytest.raises(UsageError, match="does not say how many frames per second.*--label_rate"):
        run_mode("labels", tmp_path)
    run_mode("labels", tmp_path, "--label_rate=50")
    assert read_frame_labels(str(tmp_path / "features" / "train.km")).lengths.tolist() == [12, 8]
    Clusters(np.zeros([4, 2])).save(str(tmp_path / "other.npz"))
    with pytest.raises(DataError, match="the clusters have 2 values, the features of train in .* have 3"):
        run_mode("labels", tmp_path, "--label_rate=50", "--clusters_file=%s" % (tmp_path / "other.npz"))


class Payload:
    """What an attacker's pickle would do."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", b"\x80\x03N.", b"\x80\x03}."])
def test_clusters_that_are_none(tmp_path, content):
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path / "c")):
        Clusters.read(str(tmp_path / "c"))


def test_pickles_are_not_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    joblib.dump(Payload(), "clusters.km")
    with pytest.raises(DataError, match="refers to .*mkdir"):
        Clusters.read("clusters.km")
    assert not os.path.exists("executed")


def test_shards_divide_utterances_as_fairseq_does():
    assert [shard_range(10, 4, rank) for rank in range(4)] == [(0, 2), (2, 5), (5, 8), (8, 10)]


def test_non_finite_outputs_are_not_written(tmp_path):
    values = np.zeros([4, 2], np.float32)
    values[3, 1] = np.inf
    path = str(tmp_path / "train_0_1.npy")
    with pytest.raises(DataError, match="utterance 3 of the shard .*train_0_1.npy, layer conv11"):
        write_shard(path, [(values, [1, 2, 1])], FeatureDescription("layer conv11", 50.0, 2, "", None))
    assert os.listdir(str(tmp_path)) == []


def test_audio_lists_are_fairseqs(corpus, capsys):
    list_files([str(corpus), "--ext", "wav", "--dest", str(corpus / "lists"), "--valid_percent", "0.3", "--seed", "5"])
    import random
    draw, expected = random.Random(5), {"train": [], "valid": []}
    for number in range(12):
        expected["train" if draw.random() > 0.3 else "valid"].append("%02d.wav\t%d" % (number, 4000 + 700 * number))
    for split, lines in expected.items():
        assert (corpus / "lists" / (split + ".tsv")).read_text() == "\n".join([str(corpus)] + lines) + "\n" and lines
    # moved audio
    os.makedirs(str(corpus / "new"))
    for number in range(12):
        os.rename(str(corpus / ("%02d.wav" % number)), str(corpus / "new" / ("%02d.wav" % number)))
    list_files([str(corpus / "train.tsv"), "--root", str(corpus / "new"), "--dest", str(corpus / "train.tsv")])
    assert (corpus / "train.tsv").read_text().startswith("%s\n00.wav\t4000\n" % (corpus / "new"))
    # a list is divided only if that is asked for
    assert (corpus / "train.tsv").read_text().count("\n") == 11
    (corpus / "manifest.csv").write_text("wav_filename,wav_filesize,transcript\nnew/03.wav,,\nnew/01.wav,,\n")
    list_files([str(corpus / "manifest.csv"), "--dest", str(corpus / "from_csv.tsv"), "--valid_percent", "0"])
    assert (corpus / "from_csv.tsv").read_text() == "%s\n03.wav\t6100\n01.wav\t4700\n" % (corpus / "new")
    with pytest.raises(DataError, match="no audio files with the extension .flac; check --ext"):
        list_files([str(corpus)])
    with pytest.raises(DataError, match="does not exist"):
        list_files([str(corpus / "nowhere"), "--dest", str(corpus / "made" / "train.tsv")])
    with pytest.raises(UsageError, match="1.5 is not between 0 and 1"):
        list_files([str(corpus), "--valid_percent", "1.5"])
    assert not (corpus / "made").exists()
    list_files([str(corpus / "manifest.csv"), "--dest", str(corpus / "made" / "train.tsv"), "--valid_percent", "0"])
    assert (corpus / "made" / "train.tsv").exists()
    (corpus / "new" / "99.wav").write_bytes(b"no audio")
    with pytest.raises(DataError, match="1 of 13 audio files cannot be read.*99.wav.*--skip_unreadable"):
        list_files([str(corpus / "new"), "--ext", "wav"])


@pytest.mark.parametrize("words, message", [
    (["--mode=features"], "--config_file is missing"),
    (["--mode=features", "--manifest=a.tsv", "--layer=conv1"], "--config_file is missing"),
    (["--mode=kmeans", "--max_steps=3"], "--max_steps=3 is not a flag"), (["--mode=kmeans", "--percent=0"], "expected a share"),
    (["--mode=features", "--manifest=a", "--nshard=2", "--shard=0,2"], "--shard is 0,2, expected different numbers from 0 to 1"),
    (["--mode=labels", "--clusters=3"], "--clusters belongs to --mode=kmeans"),
    (["--mode=eval", "--config_file=c.py", "--split=a"], "--split belongs to --mode=kmeans or labels")])
def test_wrong_command_lines(words, message):
    with pytest.raises(UsageError, match=message):
        parse_command_line(words)


def test_seed_decides_the_clusters(tmp_path):
    values = np.random.RandomState(0).randn(300, 2).astype(np.float32)
    shard(tmp_path / "features", values, [30] * 10)

    def learned(seed, name):
        flags = ["--features=%s" % (tmp_path / "features"), "--clusters_file=%s" % (tmp_path / name), "--seed=%d" % seed]
        return learn_clusters(parse_command_line(["--mode=kmeans", "--clusters=5", "--percent=0.4"] + flags)[0])

    assert learned(0, "a").digest == learned(0, "b").digest != learned(1, "c").digest


def test_a_training_rejects_files_that_contradict_the_list(corpus):
    from open_seq2seq.data.rejection import Rejections
    from open_seq2seq.data.speech2text.manifest import read_manifest
    from open_seq2seq.data.speech2text.selection import select_utterances
    path = str(corpus / "valid.tsv")
    write_audio_list(path, corpus, [("00.wav", 4000), ("01.wav", 4701), ("none.wav", 1)])
    params = dict.fromkeys(("max_duration", "min_duration", "max_feature_length", "max_label_length"), None)
    params["sample_freq"] = 8000
    rejections = Rejections(3, 1.0)
    found = select_utterances(read_manifest(path, transcripts=False), params, "infer", None, int, None, rejections, False)
    assert [(utterance.wav_filename, utterance.num_samples, utterance.row) for utterance in found] == [("00.wav", 2000, 2)]
    assert [(item.row, item.reason.name, item.detail) for item in rejections] == [
        (3, "other samples than the list says", "the list says 4701 samples, the file has 4700"),
        (4, "missing file", rejections.items[1].detail)]


def test_the_nearest_cluster_of_features_far_from_zero():
    random = np.random.RandomState(0)
    features = (1000.0 + random.standard_normal([2000, 16])).astype(np.float32)
    clusters = Clusters(features[:40])
    distances = ((features[:, None].astype(np.float64) - clusters.centroids[None]) ** 2).sum(2)
    assert (clusters.nearest(features) == distances.argmin(1)).mean() > 0.999
