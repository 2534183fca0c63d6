"""Scores an exported model on manifests: the utterances and their names, transcription from audio, word error rate."""
import collections
import glob
import os
import re
import sys

from open_seq2seq.data.rejection import RejectedData, Rejections
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.selection import select_utterances
from open_seq2seq.data.speech2text.transcripts import normalized_rows
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.summary import overall_lines, summarize
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.text.vocabulary import Vocabulary

PORTS_MANIFEST = "librivox-dev-clean.csv"  # the manifest that the public Ascend port scores

_NO_LIMITS = {"max_duration": None, "min_duration": None, "max_label_length": None}


def find_manifests(data_dir, named=()):
    """The manifests of a directory.

    Args:
      data_dir: the directory.
      named: file names in it, or paths; empty: the public port's manifest if it exists, else every CSV file.

    Returns:
      List of paths.

    Raises:
      DataError: there is no manifest, or a named one does not exist.
    """
    if named:
        paths = [path if os.path.exists(path) else os.path.join(data_dir, path) for path in named]
    elif os.path.exists(os.path.join(data_dir, PORTS_MANIFEST)):
        paths = [os.path.join(data_dir, PORTS_MANIFEST)]
    else:
        paths = sorted(glob.glob(os.path.join(glob.escape(data_dir), "*.csv")))
    if not os.path.isdir(data_dir) and not (paths and all(os.path.isfile(path) for path in paths)):
        raise DataError("--data_dir %s is not a directory; expected one with a manifest CSV "
                        "(wav_filename,wav_filesize,transcript)" % data_dir)
    for path in paths:
        if not os.path.isfile(path):
            raise DataError("there is no manifest %s; expected a CSV file in --data_dir, or a path from the working directory"
                            % path)
    if not paths:
        raise DataError("--data_dir %s holds no .csv file; expected a manifest with wav_filename,wav_filesize,transcript"
                        % data_dir)
    return paths


def utterance_names(wav_filenames):
    """A name for each utterance, unique among them; the utterance's bins have it.

    It is the audio file's name without folder and extension, as in the public Ascend port. Dots become underscores because
    ``ais_bench`` cuts a name at its first dot; so do characters that a shell interprets. A name that occurs before gets the
    number of the utterance appended.

    Args:
      wav_filenames: list of str, in the manifests' order.

    Returns:
      List of str of the same length, all different.
    """
    names, taken = [], set()
    for number, wav_filename in enumerate(wav_filenames, 1):
        stem = os.path.splitext(os.path.basename(wav_filename))[0]
        stem = re.sub(r"[^\w-]", "_", stem).lstrip("-") or "utterance"
        name = stem
        while name in taken:
            name = "%s_%d" % (stem if name == stem else name, number)
        taken.add(name)
        names.append(name)
    return names


class References:
    """The rows of manifests, each with its utterance name.

    Args:
      manifests: list of paths.
      normalization: a :class:`~open_seq2seq.text.steps.Normalization` of the transcripts, as the model's description has it;
        None: they stay as they are.

    Attributes:
      rows: dict from name to ManifestRow, in the manifests' order; it includes bad rows, so names do not depend on them.
      has_transcripts: whether any row has one.

    Raises:
      DataError: a manifest cannot be read.
    """

    def __init__(self, manifests, normalization=None):
        self.manifests = list(manifests)
        rows = [row for path in self.manifests for row in read_manifest(path, transcripts=False)]
        if normalization is not None:
            rows = normalized_rows(rows, normalization, note=lambda text: log_line("Note: " + text))
        self.rows = collections.OrderedDict(zip(utterance_names([row.wav_filename for row in rows]), rows))
        self.has_transcripts = any(row.transcript.strip() for row in rows)

    def select(self, description, num_frames, frames, max_rejected_fraction, rejected_file):
        """The utterances that can be scored, by the rules of ``run.py --mode=eval``.

        Args:
          description: the model's ``ExportDescription``.
          num_frames: function int samples -> int frames.
          frames: longer utterances are skipped; None: no limit.
          max_rejected_fraction: part of the rows that may be faulty.
          rejected_file: path of the CSV that lists skipped rows; None: it is not written.

        Returns:
          (OrderedDict from name to Utterance, the ``Rejections``, not yet written)
        """
        rows = list(self.rows.values())
        rejections = Rejections(len(rows), max_rejected_fraction, rejected_file, self.manifests)
        params = dict(description.feature_params, max_feature_length=frames, **_NO_LIMITS)
        utterances = select_utterances(rows, params, "eval" if self.has_transcripts else "infer",
                                       Vocabulary.of(description.vocabulary), num_frames, None, rejections)
        by_place = {(utterance.manifest, utterance.row): utterance for utterance in utterances}
        chosen = collections.OrderedDict((name, by_place[row.manifest, row.row]) for name, row in self.rows.items()
                                         if (row.manifest, row.row) in by_place)
        raise_if_too_many(rejections)
        rejections.raise_if_nothing_left(len(chosen))
        return chosen, rejections


def raise_if_too_many(rejections):
    """Writes the list and raises DataError where too many rows are faulty; the message names the flag, not the config key."""
    if not rejections.too_many():
        return
    rejections.write()
    try:
        rejections.raise_if_too_many()
    except DataError as error:
        raise DataError(str(error).replace('data_layer_params["max_rejected_fraction"]', "--max_rejected_fraction"))


def log_score(references, transcripts):
    """Prints the error rates in the form of ``run.py --mode=eval``, and the WER of each manifest if there are several.

    Args:
      references: a :class:`References`.
      transcripts: dict from name to the transcript that the model wrote.

    Returns:
      ``TranscriptErrors`` of all utterances, or None where the manifests have no transcripts.
    """
    if not references.has_transcripts:
        log_line("the manifests have no reference transcripts; the word error rate is not computed", offset=4)
        return None

    def errors_of(names):
        return transcript_errors([references.rows[name].transcript for name in names], [transcripts[name] for name in names])

    if len(references.manifests) > 1:
        for manifest in references.manifests:
            names = [name for name in transcripts if references.rows[name].manifest == manifest]
            if names:
                log_line("%s: WER %.4f, %d utterances" % (manifest, errors_of(names).word_error_rate.rate, len(names)), offset=4)
    errors = errors_of(list(transcripts))
    log_line("Validation WER:  %.4f" % errors.word_error_rate.rate, offset=4)
    log_line("Validation CER:  %.4f" % errors.character_error_rate.rate, offset=4)
    log_line("%d utterances, %d words; %.1f %% of the sentences without an error" % (
        len(transcripts), errors.word_error_rate.length, 100 * (1 - errors.sentence_error_rate.rate)), offset=4)
    scores = [score_utterance(name, references.rows[name].transcript, transcripts[name], references.rows[name].wav_filename,
                              columns=dict(references.rows[name].columns)) for name in transcripts]
    left_out = [name for name in references.rows if name not in transcripts]
    summary = summarize(scores, left_out, absent=len(left_out))
    for line in summary["kaldi"] + overall_lines(summary):
        log_line(line, offset=4)
    return errors


def transcribe_references(model, references, max_rejected_fraction=0.01, decoder=None):
    """Transcribes the utterances of manifests one by one: only a static model's own padding is added.

    Args:
      model: a ``LogitModel``.
      references: a ``References``.
      max_rejected_fraction: part of the rows that may be faulty.
      decoder: a ``decoding.decoder.Decoder`` of the model's vocabulary, which stays open; None: decodes greedily.

    Returns:
      OrderedDict from name to transcript.

    Raises:
      DataError: too many rows are faulty, or all are skipped.
    """
    description = model.description
    chosen, rejections = references.select(description, model.extractor.num_frames, description.frames, max_rejected_fraction,
                                           None)
    decoder, found = decoder or GreedyDecoder(Vocabulary.of(description.vocabulary)), collections.OrderedDict()
    with ProgressBar(len(chosen), description="transcribing") as bar:
        for done, (name, utterance) in enumerate(chosen.items(), 1):
            try:
                waveform = read_audio(utterance.audio_path, description.sample_rate)
            except RejectedData as rejected:
                sys.stderr.write("skipped utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                rejections.add(utterance, rejected.reason, str(rejected))
                continue
            found[name] = decoder.submit(*model.logits_of_audio([waveform]))
            bar.update(done)
    raise_if_too_many(rejections)
    if len(rejections):
        log_line(rejections.summary())
    return collections.OrderedDict((name, future.result()[0].text) for name, future in found.items())
