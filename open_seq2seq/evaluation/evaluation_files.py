"""What an evaluation leaves in ``report/`` next to the checkpoints: all utterances, figures, files for sclite.

``--mode=eval`` writes them, and a training with ``--test_files`` at its end into ``report/test/``."""
import json
import os
import zlib

from open_seq2seq.checkpoints.files import checkpoint_step
from open_seq2seq.decoding.options import options_from_config
from open_seq2seq.decoding.writers import recording_names
from open_seq2seq.distributed.gathering import gather_bytes
from open_seq2seq.errors import StorageError
from open_seq2seq.evaluation.analysis.groups import speakers_of
from open_seq2seq.evaluation.analysis.sclite_files import sclite_ids, stm_lines, trn_lines
from open_seq2seq.evaluation.analysis.score_files import write_evaluation
from open_seq2seq.evaluation.analysis.summary import summarize, summary_text
from open_seq2seq.evaluation.record import data_set_name
from open_seq2seq.evaluation.scoring import UtteranceOutput
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.files import replaced_file

FOLDER, TEST_FOLDER = "report", os.path.join("report", "test")
EVALUATION, SUMMARY, REFERENCES, HYPOTHESES, STM = "eval.json", "eval.txt", "ref.trn", "hyp.trn", "ref.stm"


def gathered_outputs(group, session, result, layer):
    """What all ranks made of their utterances, on the first rank. All ranks have to call it together.

    Args:
      group: a ``ProcessGroup``.
      session: a session.
      result: this rank's ``EvaluationResult``.
      layer: this rank's data layer.

    Returns:
      (list of ``UtteranceOutput`` in the order of the utterances, list of dicts id, wav_filename, reason and detail of the rows
      that were not scored); None on the other ranks.
    """
    # the first rank already has the rows that were rejected at the start
    late = {(utterance.manifest, utterance.row) for utterance in getattr(layer, "run_time_rejections", ())}
    rejections = getattr(layer, "rejections", ())
    own = [[list(output) for output in result.outputs],
           [_rejected(row) for row in rejections if group.is_first or (row.manifest, row.row) in late]]
    # escapes keep what no encoding has, e.g. file names that are not UTF-8
    parts = gather_bytes(group, session, zlib.compress(json.dumps(own).encode("ascii")))
    if not group.is_first:
        return None
    parts = [json.loads(zlib.decompress(part).decode("ascii")) for part in parts]
    outputs = sorted(UtteranceOutput(*values) for outputs, _ in parts for values in outputs)
    return outputs, [row for _, rows in parts for row in rows]


def _rejected(row):
    return {"id": "%s:%d" % (row.manifest, row.row), "wav_filename": row.wav_filename, "reason": row.reason.name,
            "detail": row.detail}


def scores_of(utterances, outputs):
    """The ``UtteranceScore`` of every output.

    Args:
      utterances: list of the data layer's utterances; those of a custom data layer need an id and a transcript only.
      outputs: list of ``UtteranceOutput``.
    """
    scores = []
    for output in outputs:
        utterance = utterances[output.index]
        scores.append(score_utterance(
            utterance.id, utterance.transcript, output.transcript, getattr(utterance, "wav_filename", None),
            getattr(utterance, "audio_path", None), dict(getattr(utterance, "columns", ())), getattr(utterance, "duration", None),
            output.loss, output.entropy))
    return scores


def figures_of(checkpoint, evaluation, outputs, rejected, group_by=()):
    """What is known of an evaluation.

    Args:
      checkpoint: path without extension.
      evaluation: the ``Evaluation``.
      outputs, rejected: see :func:`gathered_outputs`.
      group_by: names of columns, see ``groups.groupings``.

    Returns:
      (facts, summary, scores), see :func:`write_evaluation_files`.
    """
    scores = scores_of(evaluation.data_layer.utterances, outputs)
    summary = summarize(scores, [row["id"] for row in rejected], group_by, len(rejected))
    facts = {"checkpoint": os.path.basename(checkpoint), "step": checkpoint_step(checkpoint),
             "data_set": data_set_name(evaluation.data_layer),
             "decoding": options_from_config(evaluation.params["decoder_params"])._asdict(), "rejected": rejected}
    return facts, summary, scores


def write_evaluation_files(folder, facts, summary, scores):
    """Writes the files; each is written atomically.

    Args:
      folder: of the files, is created.
      facts: dict of JSON values: what was evaluated.
      summary: dict of ``summary.summarize``.
      scores: list of ``UtteranceScore``.

    Raises:
      StorageError: a file cannot be written.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot create %s: %s. Free some space or fix the permissions" % (folder, error.strerror))
    write_evaluation(os.path.join(folder, EVALUATION), facts, summary, scores)
    speakers, names = speakers_of(scores), [score.wav_filename or score.id for score in scores]
    ids = sclite_ids(names, speakers)
    references, hypotheses = [score.reference for score in scores], [score.hypothesis for score in scores]
    lines_of = {SUMMARY: [summary_text(summary)], REFERENCES: trn_lines(ids, references), HYPOTHESES: trn_lines(ids, hypotheses)}
    if scores and all(score.duration is not None for score in scores):
        lines_of[STM] = stm_lines(recording_names(names), [name.partition("-")[0] for name in ids],
                                  [score.duration for score in scores], references)
    for name, lines in lines_of.items():
        with replaced_file(os.path.join(folder, name)) as file:
            file.writelines(lines)
