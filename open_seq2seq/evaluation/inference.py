"""``--mode=infer``: restores a checkpoint, runs through the data once, writes transcripts or logits."""
import csv
import pickle
import time

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.restored import log_speed, restored
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar


def infer(base_model, params, run_directory, arguments, device, group):
    """Transcribes the data set and writes ``wav_filename,predicted_transcript`` in the order of the manifest.

    With ``infer_logits_to_pickle`` the logits are written instead, in the format that OpenSeq2Seq's decode script reads: a
    pickled dict of "logits" {wav_filename: float32 [T', V + 1]}, "vocab" {label: character} and "step_size" (seconds between
    frames of the logits).

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`; ``arguments.infer_output_file`` is the file.

    Returns:
      List of (wav_filename, transcript).

    Raises:
      DataError: utterances were lost, or logits are to be written and two recordings have the same ``wav_filename``.
      StorageError: the file cannot be written.
    """
    require_writable(arguments.infer_output_file)
    to_pickle = params["decoder_params"]["infer_logits_to_pickle"]
    transcripts, logits, audio_seconds = {}, {}, 0.0
    with restored(base_model, params, "infer", run_directory, arguments, device, group, decodes=not to_pickle) as (
            session, evaluation, _):
        layer = evaluation.data_layer
        if to_pickle:
            _require_distinct_names(layer.utterances)
        begin = time.monotonic()
        with ProgressBar(layer.batches_per_epoch, description="inference") as bar:
            for done, values in enumerate(evaluation.batches(session, with_logits=to_pickle), 1):
                transcripts.update(zip(values["indices"], values["transcripts"]))
                audio_seconds += sum(layer.utterances[index].duration for index in values["indices"])
                if to_pickle:
                    for index, row, length in zip(values["indices"], values["logits"], values["lengths"]):
                        logits[layer.utterances[index].wav_filename] = row[:length]
                bar.update(done)
                log_line("Processed %d/%d batches" % (done, layer.batches_per_epoch))
        seconds = time.monotonic() - begin
        layer.raise_if_too_many_rejected()
    if len(transcripts) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("only %d of %d utterances were transcribed, and %d could not be read; the data layer lost the others. "
                        "Please report this as a bug" % (len(transcripts), len(layer.utterances), len(layer.run_time_rejections)))
    log_speed(layer, params, audio_seconds, seconds)
    rows = [(layer.utterances[index].wav_filename, transcripts[index]) for index in sorted(transcripts)]
    if to_pickle:
        frames = 1000  # many, to make rounding at the end negligible
        encoder_frames = params["encoder"].output_frames(params["encoder_params"], frames)
        _write_logits(arguments.infer_output_file, logits, layer.vocabulary,
                      params["data_layer_params"]["window_stride"] * round(frames / encoder_frames))
    else:
        _write_transcripts(arguments.infer_output_file, rows)
    log_line("Wrote %s to %s" % ("%d logit matrices" % len(logits) if to_pickle else "%d transcripts" % len(rows),
                                 arguments.infer_output_file))
    log_line("Finished inference")
    return rows


def _require_distinct_names(utterances):
    first = {}
    for utterance in utterances:
        other = first.setdefault(utterance.wav_filename, utterance)
        if other.audio_path != utterance.audio_path:
            raise DataError("infer_logits_to_pickle: %s and %s have the same wav_filename, %s, which is the key of their logits "
                            "in the file. Write the logits of one manifest at a time: "
                            "--infer_params/data_layer_params/dataset_files" % (
                                other.audio_path, utterance.audio_path, utterance.wav_filename))


def _write_logits(path, logits, vocabulary, step_size):
    with replaced_file(path, "wb") as file:
        pickle.dump({"logits": logits, "vocab": dict(enumerate(vocabulary.characters)), "step_size": step_size}, file, protocol=2)


def _write_transcripts(path, rows):
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "predicted_transcript"])
        writer.writerows(rows)
