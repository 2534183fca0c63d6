"""The utterances that an exported model is scored on: manifests, the names of their bins, the score."""
import collections
import glob
import os

from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.rejection import Rejections
from open_seq2seq.data.speech2text.selection import select_utterances
from open_seq2seq.data.speech2text.vocabulary import Vocabulary
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.export.bins import bin_names
from open_seq2seq.log_lines import log_line

PORTS_MANIFEST = "librivox-dev-clean.csv"  # the one that the public Ascend port scores

_NO_LIMITS = {"max_duration": None, "min_duration": None, "max_label_length": None}


def find_manifests(data_dir, named=()):
    """The manifests of a directory.

    Args:
      data_dir: the directory.
      named: file names in it, or paths; empty: the public port's if it is there, else every CSV file.

    Returns:
      List of paths.

    Raises:
      DataError: there is none, or not the one that is named.
    """
    if named:
        paths = [path if os.path.exists(path) else os.path.join(data_dir, path) for path in named]
    elif os.path.exists(os.path.join(data_dir, PORTS_MANIFEST)):
        paths = [os.path.join(data_dir, PORTS_MANIFEST)]
    else:
        paths = sorted(glob.glob(os.path.join(glob.escape(data_dir), "*.csv")))
    if not os.path.isdir(data_dir):
        raise DataError("--data_dir %s is no directory; expected one with a manifest CSV (wav_filename,wav_filesize,transcript)"
                        % data_dir)
    for path in paths:
        if not os.path.isfile(path):
            raise DataError("there is no manifest %s; expected a CSV file in --data_dir, or a path from the working directory"
                            % path)
    if not paths:
        raise DataError("--data_dir %s holds no .csv file; expected a manifest with wav_filename,wav_filesize,transcript"
                        % data_dir)
    return paths


class References:
    """The rows of manifests, each with the name of its bins.

    Args:
      manifests: list of paths.

    Attributes:
      rows: dict from name to ManifestRow, in the manifests' order; bad rows included, so that a name never depends on them.
      has_transcripts: whether any row has one.

    Raises:
      DataError: a manifest cannot be read.
    """

    def __init__(self, manifests):
        self.manifests = list(manifests)
        rows = [row for path in self.manifests for row in read_manifest(path, transcripts=False)]
        self.rows = collections.OrderedDict(zip(bin_names([row.wav_filename for row in rows]), rows))
        self.has_transcripts = any(row.transcript.strip() for row in rows)

    def select(self, description, num_frames, frames, max_rejected_fraction, rejected_file):
        """What can be evaluated, by the rules of ``run.py --mode=eval``.

        Args:
          description: the model's ``ExportDescription``.
          num_frames: function int samples -> int frames.
          frames: longer utterances are left out; None: none.
          max_rejected_fraction: part of the rows that may be faulty.
          rejected_file: path of the CSV that lists what is left out.

        Returns:
          (OrderedDict from name to Utterance, the ``Rejections``, which are not written yet)
        """
        rows = list(self.rows.values())
        rejections = Rejections(len(rows), max_rejected_fraction, rejected_file, self.manifests)
        params = dict(description.feature_params, max_feature_length=frames, **_NO_LIMITS)
        utterances = select_utterances(rows, params, "eval" if self.has_transcripts else "infer",
                                       Vocabulary(description.vocabulary), num_frames, None, rejections)
        by_place = {(utterance.manifest, utterance.row): utterance for utterance in utterances}
        chosen = collections.OrderedDict((name, by_place[row.manifest, row.row]) for name, row in self.rows.items()
                                         if (row.manifest, row.row) in by_place)
        raise_if_too_many(rejections)
        rejections.raise_if_nothing_left(len(chosen))
        return chosen, rejections


def raise_if_too_many(rejections):
    """As ``Rejections.raise_if_too_many``, in the words of a command without a config; what is left out is listed first."""
    if not rejections.too_many():
        return
    rejections.write()
    try:
        rejections.raise_if_too_many()
    except DataError as error:
        raise DataError(str(error).replace('data_layer_params["max_rejected_fraction"]', "--max_rejected_fraction"))


def log_score(references, transcripts):
    """Prints the word error rate in the form of ``run.py --mode=eval``; for several manifests that of each, too.

    Args:
      references: a :class:`References`.
      transcripts: dict from name to the transcript that the model wrote.

    Returns:
      ``TranscriptErrors`` of all, or None where the manifests have no transcripts.
    """
    if not references.has_transcripts:
        log_line("the manifests have no transcripts to compare with", offset=4)
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
    return errors
