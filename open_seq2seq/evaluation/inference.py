"""``--mode=infer``: restores a checkpoint, runs through the data once, writes transcripts or logits."""
import csv
import os
import pickle
import time

from open_seq2seq.data.tasks import LABEL
from open_seq2seq.decoding.writers import FORMATS, ctm_lines, json_record, recording_names, write_json_array
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.evaluation.all_tasks import classes_of
from open_seq2seq.evaluation.analysis.groups import speakers_of
from open_seq2seq.evaluation.analysis.sclite_files import sclite_ids, trn_lines
from open_seq2seq.evaluation.restored import log_speed, restored
from open_seq2seq.evaluation.scoring import run_evaluation
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.evaluation.utterance_times import UtteranceTimes, feature_frames_per_logit_frame
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

CSV, TRN, SUBTITLES = "csv", "trn", ("srt", "vtt")


def infer(base_model, params, run_directory, arguments, device, group):
    """Transcribes the data set and writes the transcripts in the order of the manifest.

    As CSV the columns are ``wav_filename,predicted_transcript``; TRN is for sclite. The other formats have words with times and
    confidences: CTM and JSON of all utterances in one file, SRT and WebVTT of one utterance in a file, or of several in a folder.

    With ``infer_logits_to_pickle`` the logits are written instead, in the format that OpenSeq2Seq's decode script reads: a
    pickled dict of "logits" {wav_filename: float32 [T', V + 1]}, "vocab" {label: character} and "step_size" (seconds between
    frames of the logits).

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`; ``arguments.infer_output_file`` is the file, ``arguments.format``
      the name of its format.

    Of a task of kind "label" the columns are ``wav_filename,predicted_class,probability``.

    Returns:
      List of (wav_filename, transcript or class).

    Raises:
      DataError: utterances were lost, or logits are to be written and two recordings have the same ``wav_filename``.
      StorageError: the file cannot be written.
      UsageError: the file is the manifest, the format does not hold these utterances, or the data layer has no audio files.
    """
    if params.get("tasks"):
        return _infer_classes(base_model, params, run_directory, arguments, device, group)
    path, to_pickle = arguments.infer_output_file, params["decoder_params"]["infer_logits_to_pickle"]
    if to_pickle and arguments.format != CSV:
        raise UsageError("infer_logits_to_pickle writes logits, and %s was requested; write one of them at a time"
                         % arguments.format)
    _require_other_than_data(path, params["data_layer_params"].get("dataset_files") or [])
    if arguments.format not in SUBTITLES:
        require_writable(path)
    texts, transcripts, logits, audio_seconds = {}, {}, {}, 0.0
    with restored(base_model, params, "infer", run_directory, arguments, device, group, decodes=not to_pickle) as (
            session, evaluation, _):
        layer = evaluation.data_layer
        if to_pickle:
            _require_distinct_names(layer.utterances)
        if arguments.format in SUBTITLES:
            _prepare_subtitles(path, len(layer.utterances))
        times = UtteranceTimes(params, layer) if arguments.format not in (CSV, TRN) else None
        begin = time.monotonic()
        with ProgressBar(layer.batches_per_epoch, description="inference") as bar:
            for done, values in enumerate(evaluation.batches(session, to_pickle, with_characters=times is not None), 1):
                texts.update(zip(values["indices"], values["transcripts"]))
                audio_seconds += sum(layer.utterances[index].duration for index in values["indices"])
                if to_pickle:
                    for index, row, length in zip(values["indices"], values["logits"], values["lengths"]):
                        logits[layer.utterances[index].wav_filename] = row[:length]
                if times is not None:
                    for index, hypothesis, length in zip(values["indices"], values["hypotheses"], values["lengths"]):
                        transcripts[index] = times.transcript(hypothesis.characters, int(length), layer.utterances[index])
                bar.update(done)
                log_line("Processed %d/%d batches" % (done, layer.batches_per_epoch))
        seconds = time.monotonic() - begin
        layer.raise_if_too_many_rejected()
    if len(texts) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("only %d of %d utterances were transcribed, and %d could not be read; the data layer lost the others. "
                        "Please report this as a bug" % (len(texts), len(layer.utterances), len(layer.run_time_rejections)))
    log_speed(layer, params, audio_seconds, seconds)
    rows = [(layer.utterances[index].wav_filename, texts[index]) for index in sorted(texts)]
    if to_pickle:
        _write_logits(path, logits, layer.vocabulary,
                      params["data_layer_params"]["window_stride"] * feature_frames_per_logit_frame(params))
    elif arguments.format == TRN:
        _write_trn(path, [(layer.utterances[index], texts[index]) for index in sorted(texts)])
    elif times is None:
        _write_csv(path, rows)
    else:
        _write_timed(path, arguments.format, [name for name, _ in rows], [transcripts[index] for index in sorted(transcripts)])
    log_line("Wrote %s to %s" % ("%d logit matrices" % len(logits) if to_pickle else "%d transcripts" % len(rows), path))
    log_line("Finished inference")
    return rows


def _infer_classes(base_model, params, run_directory, arguments, device, group):
    """Writes the most probable class of each utterance and its probability, as CSV."""
    (name, task), = params["tasks"].items()
    if task["data"]["kind"] != LABEL:
        raise UsageError("--task=%s: the outputs of this task are features, which --mode=infer does not write; "
                         "--mode=eval --task=%s measures its loss" % (name, name))
    if arguments.format != CSV:
        raise UsageError("--task=%s has classes, which --mode=infer writes as csv, and %s was requested" % (
            name, arguments.format))
    path = arguments.infer_output_file
    _require_other_than_data(path, params["data_layer_params"].get("dataset_files") or [])
    require_writable(path)
    with restored(base_model, params, "infer", run_directory, arguments, device, group) as (session, evaluation, _):
        result = run_evaluation(session, evaluation, verbose=True)
    layer = evaluation.data_layer
    log_speed(layer, params, result.audio_seconds, result.seconds)
    classes = classes_of(layer, name)
    rows = [(layer.utterances[output.index].wav_filename, classes[output.predicted], "%.6f" % output.probability)
            for output in result.outputs]
    _write_csv(path, rows, ["wav_filename", "predicted_class", "probability"])
    log_line("Wrote %d classes to %s" % (len(rows), path))
    log_line("Finished inference")
    return [row[:2] for row in rows]


def _require_other_than_data(path, files):
    for manifest in [files] if isinstance(files, str) else files:
        if os.path.realpath(path) == os.path.realpath(manifest):
            raise UsageError("--infer_output_file is %s, the manifest of the data set, which would be replaced; give another "
                             "name" % path)


def _prepare_subtitles(path, count):
    """Proves that ``path`` can hold the subtitles of ``count`` utterances: of one in a file, of several in a folder."""
    if count > 1 and os.path.splitext(path)[1]:
        raise UsageError("--infer_output_file is %s; a subtitle file has one recording, and the data set has %d. Give the name "
                         "of a folder for them and --format=srt or vtt, or write a .ctm or .json" % (path, count))
    if count > 1:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError as error:
            raise StorageError("cannot make the folder %s: %s. Choose another one with --infer_output_file" % (
                path, error.strerror))
    require_writable(os.path.join(path, "subtitles") if os.path.isdir(path) else path)


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


def _write_csv(path, rows, columns=("wav_filename", "predicted_transcript")):
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _write_trn(path, transcribed):
    """Writes the transcripts for sclite, with the ids of ``ref.trn`` of an evaluation of the same utterances."""
    scores = [score_utterance(utterance.id, "", text, utterance.wav_filename, columns=dict(getattr(utterance, "columns", ())))
              for utterance, text in transcribed]
    ids = sclite_ids([score.wav_filename or score.id for score in scores], speakers_of(scores))
    with replaced_file(path) as file:
        file.writelines(trn_lines(ids, [score.hypothesis for score in scores]))


def _write_timed(path, name, wav_filenames, transcripts):
    """Writes transcripts with times."""
    recordings = recording_names(wav_filenames)
    if name == "json":
        write_json_array(path, (json_record(transcript, wav_filename)
                                for transcript, wav_filename in zip(transcripts, wav_filenames)))
    elif name == "ctm":
        with replaced_file(path) as file:
            for transcript, recording in zip(transcripts, recordings):
                file.write(ctm_lines(transcript.words, recording))
    else:
        extension, text_of = FORMATS[name]
        for transcript, recording in zip(transcripts, recordings):
            with replaced_file(os.path.join(path, "%s.%s" % (recording, extension)) if os.path.isdir(path) else path) as file:
                file.write(text_of(transcript, recording))
