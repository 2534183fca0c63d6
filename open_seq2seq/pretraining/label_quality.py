"""``--mode=label_quality``: how well frame labels agree with the speech, without a transcript of phones.

The measures are those of HuBERT (arXiv:2106.07447, section IV.E) for the joint distribution P(y, z) of the frames' references y,
there phones, here characters, words or whole transcripts, and labels z:

- phone purity: sum over z of max over y of P(y, z), the accuracy if each label stood for its most frequent reference;
- cluster purity: sum over y of max over z of P(y, z);
- PNMI: I(y; z) / H(y), the share of the references' entropy that the labels explain.

Phone purity and PNMI rise with the number of clusters, so only label sets of the same number of clusters can be compared by them;
cluster purity falls with it.
"""
import collections
import csv
import json
import os

import numpy as np

from open_seq2seq.data.fairseq_files.frame_labels import read_description, read_frame_labels
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.utterance_labels import label_path
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import print_table

SILENCE = "<silence>"
NEAREST_SECONDS = 0.1   # a frame farther than this from every character is silence
FILE = "label_quality.json"

Quality = collections.namedtuple("Quality", (
    "phone_purity", "cluster_purity", "pnmi", "mutual_information", "reference_entropy", "label_entropy", "references", "labels",
    "frames"))
Quality.__doc__ = """Measures, see the module. mutual_information and the entropies are in bits. references, labels: how many
different ones occur. frames: int."""


def quality_of(counts):
    """The :class:`Quality` of a table of counts.

    Args:
      counts: array [references, labels], frames with each pair.

    Raises:
      ValueError: there are no frames.
    """
    counts = np.asarray(counts, np.float64)
    counts = counts[counts.sum(1) > 0][:, counts.sum(0) > 0]
    frames = counts.sum()
    if not frames:
        raise ValueError("there are no frames")
    joint = counts / frames
    references, labels = joint.sum(1), joint.sum(0)
    reference_entropy, label_entropy = _entropy(references), _entropy(labels)
    mutual_information = max(0.0, reference_entropy + label_entropy - _entropy(joint.ravel()))
    pnmi = min(1.0, mutual_information / reference_entropy) if reference_entropy > 0 else 0.0
    return Quality(float(joint.max(0).sum()), float(joint.max(1).sum()), pnmi, mutual_information, reference_entropy,
                   label_entropy, joint.shape[0], joint.shape[1], int(frames))


def _entropy(probabilities):
    """Bits."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())


def measure_label_quality(manifest, path, arguments, segments_of, kind):
    """Measures one file of labels, prints a table and writes JSON.

    Args:
      manifest: the CSV file of the labels' utterances.
      path: the file of labels.
      arguments: ``label_rate`` is the number of labels per second, None for that of the labels' description; ``output`` the JSON
        file, None for label_quality.json in the folder of the labels.
      segments_of: function ManifestRow -> list of (start, end, text) in seconds, None for an utterance without a reference.
      kind: what the references are, for the table, e.g. "characters".

    Returns:
      The :class:`Quality`.

    Raises:
      DataError: the labels and the manifest are not of the same utterances, or no utterance has a reference.
      UsageError: the rate is not known.
      StorageError: the JSON file cannot be written.
    """
    output = arguments.output or os.path.join(os.path.dirname(path), FILE)
    rows, labels, description = read_manifest(manifest, transcripts=False), read_frame_labels(path), read_description(path)
    require_writable(output)
    if len(rows) != len(labels):
        raise DataError("%s has %d lines, and %s has %d utterances; expected a line for each" % (
            path, len(labels), manifest, len(rows)))
    rate = arguments.label_rate or (description.label_rate if description is not None else None)
    if rate is None:
        raise UsageError("%s does not say how many labels per second it has; give --label_rate (100 for MFCC of 10 ms)" % path)
    table, utterances, changes = collections.Counter(), 0, 0
    for place, row in enumerate(rows):
        segments = segments_of(row)
        if segments is None or not labels.lengths[place]:
            continue
        utterances += 1
        values = labels[place].tolist()
        changes += 1 + sum(one != other for one, other in zip(values, values[1:]))
        table.update(zip(frame_references(segments, len(values), rate), values))
    if not table:
        raise DataError("no utterance of %s has %s to compare its labels with" % (manifest, kind))
    names = sorted({reference for reference, _ in table})
    counts = np.zeros([len(names), int(labels.values.max()) + 1])
    places = {name: place for place, name in enumerate(names)}
    for (reference, label), count in table.items():
        counts[places[reference], label] = count
    quality = quality_of(counts)
    result = collections.OrderedDict(quality._asdict(), reference=kind, file=path, manifest=manifest, label_rate=rate,
                                     utterances=utterances, utterances_without_reference=len(rows) - utterances,
                                     mean_segment_seconds=quality.frames / float(changes) / rate)
    if description is not None:
        result.update(features=description.features, clusters=description.num_clusters)
    with replaced_file(output) as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    _print(path, kind, quality, result, counts, names)
    log_line("Wrote %s" % output)
    return quality


def _print(path, kind, quality, result, counts, names):
    print_table("Labels of %s against %s" % (path, kind), ["measure", "value"], [
        ["phone purity", "%.4f" % quality.phone_purity], ["cluster purity", "%.4f" % quality.cluster_purity],
        ["PNMI", "%.4f" % quality.pnmi], ["mutual information, bits", "%.3f" % quality.mutual_information],
        ["entropy of the %s, bits" % kind, "%.3f" % quality.reference_entropy],
        ["entropy of the labels, bits", "%.3f" % quality.label_entropy], ["different %s" % kind, str(quality.references)],
        ["labels in use", str(quality.labels)], ["mean length of a label, ms", "%.1f" % (1000 * result["mean_segment_seconds"])],
        ["frames", str(quality.frames)], ["utterances", str(result["utterances"])]], left=("measure",))
    shares = counts / counts.sum(1, keepdims=True)
    most = sorted(zip(names, counts.sum(1), shares.max(1), shares.argmax(1)), key=lambda item: -item[1])[:10]
    print_table("The most frequent %s" % kind, [kind, "frames", "most frequent label", "its share"], [
        [name, "%d" % frames, str(label), "%.3f" % share] for name, frames, share, label in most], left=(kind,))


def frame_references(segments, frames, rate):
    """The reference of each frame.

    Args:
      segments: list of (start, end, text) in order, s.
      frames: int.
      rate: frames per second.

    Returns:
      List of str: the text of the segment in which the middle of the frame is, else of the nearest one; SILENCE if none is within
      0.1 s. CTC aligns a character with few frames, and those around it belong to it.
    """
    if not segments:
        return [SILENCE] * frames
    starts, ends = np.array([segment[0] for segment in segments]), np.array([segment[1] for segment in segments])
    middles = (np.arange(frames) + 0.5) / rate
    before = np.maximum(np.searchsorted(starts, middles, "right") - 1, 0)
    after = np.minimum(before + 1, len(segments) - 1)
    distances = [np.maximum(0.0, np.maximum(starts[near] - middles, middles - ends[near])) for near in (before, after)]
    nearest = np.where(distances[0] <= distances[1], before, after)
    silent = np.minimum(*distances) > NEAREST_SECONDS
    return [SILENCE if is_silent else segments[place][2] for place, is_silent in zip(nearest, silent)]


def transcript_segments(row):
    """The whole transcript as the reference of all frames, for corpora of single words; None without one."""
    text = row.transcript.strip()
    return [(0.0, float("inf"), text)] if text else None


def read_segments(path):
    """Times that ``--mode=align --format=csv`` wrote: words.csv or characters.csv.

    Returns:
      Dict from wav_filename to list of (start, end, text) in order.

    Raises:
      DataError: the file cannot be read or is not one of these.
    """
    found = collections.defaultdict(list)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"wav_filename", "start", "end", "text"} - set(reader.fieldnames or ())
            if missing:
                raise DataError("%s has no column %s; expected words.csv or characters.csv of --mode=align --format=csv" % (
                    path, ", ".join(sorted(missing))))
            for row in reader:
                try:
                    found[row["wav_filename"]].append((float(row["start"]), float(row["end"]), row["text"]))
                except (TypeError, ValueError):
                    raise DataError("%s:%d: found %r; expected wav_filename,start,end,text" % (path, reader.line_num, dict(row)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError("cannot read the alignment %s: %s. --mode=align --format=csv writes it" % (path, error))
    for segments in found.values():
        segments.sort()
    return dict(found)


def labels_to_measure(manifests, arguments):
    """(manifest, file of labels): of the one manifest that is given.

    Raises:
      UsageError: there are several.
    """
    if len(manifests) != 1:
        raise UsageError("--mode=label_quality measures the labels of one manifest, and there are %s; give one with --manifest"
                         % ", ".join(manifests))
    return manifests[0], label_path(manifests[0], arguments.label_name, arguments.labels)
