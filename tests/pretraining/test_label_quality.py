"""Label quality: the definitions of HuBERT's section IV.E, by brute force and scikit-learn; the references of frames."""
import collections
import json
import math

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from open_seq2seq.data.fairseq_files.frame_labels import write_frame_labels
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.modes import run
from open_seq2seq.pretraining.label_quality import SILENCE, frame_references, quality_of, read_segments


@pytest.mark.parametrize("seed", range(3))
def test_measures_are_their_definitions(seed):
    random = np.random.RandomState(seed)
    references, labels = random.randint(0, 6, 400), random.randint(0, 9, 400) + 3
    labels[:200] = references[:200] + 3 + seed
    table = np.zeros([8, 14])
    np.add.at(table, (references, labels), 1)
    found = quality_of(table)
    pairs = collections.Counter(zip(references, labels))
    of_reference, of_label = collections.Counter(references), collections.Counter(labels)
    phone = sum(max(pairs[reference, label] for reference in of_reference) for label in of_label) / 400.0
    cluster = sum(max(pairs[reference, label] for label in of_label) for reference in of_reference) / 400.0
    entropy = -sum(count / 400.0 * math.log(count / 400.0, 2) for count in of_reference.values())
    mutual = sum(count / 400.0 * math.log(count * 400.0 / of_reference[reference] / of_label[label], 2)
                 for (reference, label), count in pairs.items())
    assert found.phone_purity == pytest.approx(phone) and found.cluster_purity == pytest.approx(cluster)
    assert found.pnmi == pytest.approx(mutual / entropy) and found.reference_entropy == pytest.approx(entropy)
    assert found.mutual_information * math.log(2) == pytest.approx(mutual_info_score(references, labels))
    assert (found.references, found.labels, found.frames) == (len(of_reference), len(of_label), 400)


def test_extremes():
    assert quality_of(np.eye(4))[:3] == pytest.approx((1.0, 1.0, 1.0))
    assert quality_of(np.ones([4, 5]))[:3] == pytest.approx((0.25, 0.2, 0.0))
    # one reference has no entropy to explain
    assert quality_of(np.ones([1, 5])).pnmi == 0.0


def test_frames_belong_to_the_nearest_character():
    segments = [(0.20, 0.22, "a"), (0.30, 0.32, "b"), (0.80, 0.84, "c")]
    found = frame_references(segments, 100, 100)
    expected = [SILENCE] * 10 + ["a"] * 16 + ["b"] * 16 + [SILENCE] * 28 + ["c"] * 24 + [SILENCE] * 6
    assert found == expected
    assert frame_references([], 2, 100) == [SILENCE] * 2


@pytest.fixture
def labeled(tmp_path):
    (tmp_path / "dev.csv").write_text("wav_filename,wav_filesize,transcript\na.wav,,one\nb.wav,,two\nc.wav,,\n")
    write_frame_labels(str(tmp_path / "dev.km"), [0, 0, 1, 2, 2, 2, 0], [3, 3, 1])
    return tmp_path


def measured(folder, *flags):
    run(["--mode=label_quality", "--manifest=%s" % (folder / "dev.csv")] + list(flags))
    with open(str(folder / "label_quality.json"), encoding="utf-8") as file:
        return json.load(file)


def test_command(labeled, capsys):
    result = measured(labeled, "--reference=transcript", "--label_rate=100")
    assert (result["phone_purity"], result["pnmi"], result["frames"], result["utterances"]) == (1.0, 1.0, 6, 2)
    assert result["cluster_purity"] == pytest.approx(5 / 6) and result["utterances_without_reference"] == 1
    assert result["mean_segment_seconds"] == pytest.approx(0.02)
    assert "PNMI" in capsys.readouterr().out
    (labeled / "words.csv").write_text("wav_filename,start,end,text,confidence\na.wav,0.0,0.015,one,1\na.wav,0.02,0.03,more,1\n")
    result = measured(labeled, "--alignment=%s" % (labeled / "words.csv"), "--label_rate=100")
    assert (result["frames"], result["references"], result["pnmi"]) == (3, 2, 1.0)


def test_refused(labeled):
    with pytest.raises(UsageError, match="dev.km does not say how many labels per second.*--label_rate"):
        measured(labeled, "--reference=transcript")
    with pytest.raises(UsageError, match="give one with --manifest"):
        measured(labeled, "--manifest=a.csv,b.csv", "--reference=transcript")
    (labeled / "words.csv").write_text("wav_filename,start,text\n")
    with pytest.raises(DataError, match="words.csv has no column end; expected .*--mode=align --format=csv"):
        read_segments(str(labeled / "words.csv"))
    write_frame_labels(str(labeled / "dev.km"), [0], [1])
    with pytest.raises(DataError, match="dev.km has 1 lines, and .*dev.csv has 3 utterances"):
        measured(labeled, "--reference=transcript", "--label_rate=100")
