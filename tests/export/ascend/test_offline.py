"""Offline inference: audio to bins, bins to results, results to transcripts; the command line and its errors."""
import csv
import json
import os
import shutil

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.export.ascend.offline import infer, open_bins, post_process, pre_process
from open_seq2seq.export.description import read_description
from open_seq2seq.export.runtime.exported_model import ExportedModel
from open_seq2seq.export.runtime.scoring import References, transcribe_references

FRAMES = 160


@pytest.fixture(scope="module")
def dynamic(export):
    return export(batch_size=None, frames=None)


@pytest.fixture(scope="module")
def static(export):
    return export(batch_size=4, frames=FRAMES)


@pytest.fixture
def references(tone_corpus):
    return References([str(tone_corpus / "dev.csv")])


def rows_of(path):
    with open(str(path), newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("batch_size", [1, 3, 4, 6])
def test_bins_and_audio_give_the_same_transcripts(static, references, tmp_path, batch_size):
    description = read_description(static)
    assert pre_process(description, references, str(tmp_path / "bins")) == 13
    bins = open_bins(description, str(tmp_path / "bins"))
    assert len(bins.stems) == 13 and bins.stems[0] == "dev0.wav_input_data" and bins.frames == FRAMES
    with ExportedModel(static) as model:
        timing = infer(model, bins, str(tmp_path / "results"), batch_size)
        expected = transcribe_references(model, references)
    assert timing.num_batches == -(-13 // batch_size) and timing.num_utterances == 13
    # the results of the padding rows are dropped
    assert sorted(os.listdir(str(tmp_path / "results"))) == sorted(
        "davinci_dev%d.wav_input_data_output0.bin" % i for i in range(13))
    audio = sum(len(read_audio(row.audio_path, 16000)) for row in references.rows.values()) / 16000.0
    assert timing.audio_seconds == pytest.approx(audio, abs=13 * 0.02) and min(timing.first, timing.seconds) > 0
    transcripts, errors = post_process(description, references, bins, str(tmp_path / "results"), str(tmp_path / "out.csv"))
    assert transcripts == expected and len(set(transcripts.values())) > 5
    assert rows_of(tmp_path / "out.csv") == [["wav_filename", "predicted_transcript"]] + [
        ["wav/dev%d.wav" % i, expected["dev%d" % i]] for i in range(13)]
    assert errors.word_error_rate.length == sum(len(row.transcript.split()) for row in references.rows.values())


def test_logits_do_not_depend_on_the_batch(static, references, tmp_path):
    description = read_description(static)
    pre_process(description, references, str(tmp_path))
    bins, logits = open_bins(description, str(tmp_path)), []
    with ExportedModel(static) as model:
        # the model was exported for 4
        for batch_size in (1, 6):
            infer(model, bins, str(tmp_path / "results"), batch_size)
            logits.append(np.fromfile(str(tmp_path / "results" / "davinci_dev12.wav_input_data_output0.bin"), np.float32))
    assert logits[0].shape == (FRAMES // 2 * 29,) and np.std(logits[0]) > 0.1
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)


def test_bins_of_a_dynamic_model_are_as_long_as_the_longest_utterance(dynamic, references, tmp_path):
    description = read_description(dynamic)
    pre_process(description, references, str(tmp_path))
    longest = max(len(read_audio(row.audio_path, 16000)) for row in references.rows.values()) // 160 + 1
    assert open_bins(description, str(tmp_path)).frames == -(-longest // 16) * 16
    pre_process(description, references, str(tmp_path), frames=320)
    assert open_bins(description, str(tmp_path)).frames == 320
    with pytest.raises(UsageError, match="--frames 320, but the model was exported for 160"):
        pre_process(description._replace(frames=FRAMES), references, str(tmp_path), frames=320)
    with pytest.raises(UsageError, match="--frames is 161; expected a multiple of 16"):
        pre_process(description, references, str(tmp_path), frames=161)


def test_float16_bins_have_half_the_size_and_nearly_the_same_logits(dynamic, references, tmp_path):
    description, logits = read_description(dynamic), []
    with ExportedModel(dynamic) as model:
        for dtype, size in (("float32", 4), ("float16", 2)):
            pre_process(description, references, str(tmp_path), dtype, frames=FRAMES)
            assert os.path.getsize(str(tmp_path / "input_0" / "dev3.wav_input_data.bin")) == FRAMES * 16 * size
            infer(model, open_bins(description, str(tmp_path)), str(tmp_path / "results"))
            logits.append(np.fromfile(str(tmp_path / "results" / "davinci_dev3.wav_input_data_output0.bin"), np.float32))
    difference = np.abs(logits[0] - logits[1]).max()
    assert 0 < difference < 0.02 * np.abs(logits[0]).max()


def copied(tone_corpus, folder):
    """A copy of the corpus that a test may change."""
    shutil.copytree(str(tone_corpus / "wav"), str(folder / "wav"))
    shutil.copy(str(tone_corpus / "dev.csv"), str(folder / "dev.csv"))
    return References([str(folder / "dev.csv")])


def test_bad_audio_is_named_and_no_bins_are_written(static, tone_corpus, tmp_path):
    references, description = copied(tone_corpus, tmp_path), read_description(static)
    broken = np.zeros(8000, np.float32)
    broken[4000] = np.nan
    soundfile.write(str(tmp_path / "wav" / "dev1.wav"), broken, 16000, subtype="FLOAT")
    (tmp_path / "wav" / "dev2.wav").write_bytes(b"%PDF-1.4")
    with pytest.raises(DataError) as raised:
        pre_process(description, references, str(tmp_path / "bins"))
    for text in ("2 of 13 utterances (15.38 %)", "wav/dev1.wav: non-finite samples", "dev2.wav: not audio: the file begins with "
                 "'%PDF-1.4'", "--max_rejected_fraction"):
        assert text in str(raised.value)
    assert os.listdir(str(tmp_path / "bins")) == ["rejected.csv"]
    # with a higher limit the other utterances are written and scored
    assert pre_process(description, references, str(tmp_path / "bins"), max_rejected_fraction=0.2) == 11
    bins = open_bins(description, str(tmp_path / "bins"))
    assert "dev1.wav_input_data" not in bins.stems and len(rows_of(tmp_path / "bins" / "rejected.csv")) == 3
    with ExportedModel(static) as model:
        infer(model, bins, str(tmp_path / "results"))
    transcripts, _ = post_process(description, references, bins, str(tmp_path / "results"), str(tmp_path / "out.csv"))
    assert len(transcripts) == 11


def test_utterances_longer_than_the_model_accepts_are_listed(export, tone_corpus, references, tmp_path):
    description = read_description(export(batch_size=1, frames=96))
    count = pre_process(description, references, str(tmp_path))
    rejected = rows_of(tmp_path / "rejected.csv")[1:]
    assert 0 < count < 13 and count + len(rejected) == 13
    assert {row[3] for row in rejected} == {"longer than max_feature_length"} and rejected[0][4].endswith("the limit is 96")


def test_each_manifest_and_all_together_are_scored(static, tone_corpus, tmp_path, capsys):
    references = References([str(tone_corpus / "dev.csv"), str(tone_corpus / "train.csv")])
    description = read_description(static)
    pre_process(description, references, str(tmp_path))
    bins = open_bins(description, str(tmp_path))
    with ExportedModel(static) as model:
        infer(model, bins, str(tmp_path / "results"), 4)
    _, errors = post_process(description, references, bins, str(tmp_path / "results"), str(tmp_path / "out.csv"))
    printed = capsys.readouterr().out
    assert "dev.csv: WER" in printed and "train.csv: WER" in printed
    assert "***     Validation WER:  %.4f\n" % errors.word_error_rate.rate in printed
    with pytest.raises(DataError, match="48 of 61 bins, e.g. .*train0.wav_input_data.bin, belong to no row of .*dev.csv"):
        post_process(description, References([str(tone_corpus / "dev.csv")]), bins, str(tmp_path / "results"),
                     str(tmp_path / "out.csv"))


def test_without_transcripts_there_is_no_score(static, tone_corpus, tmp_path, capsys):
    shutil.copytree(str(tone_corpus / "wav"), str(tmp_path / "wav"))
    (tmp_path / "list.csv").write_text("wav_filename\nwav/dev0.wav\n")
    references, description = References([str(tmp_path / "list.csv")]), read_description(static)
    pre_process(description, references, str(tmp_path / "bins"))
    bins = open_bins(description, str(tmp_path / "bins"))
    with ExportedModel(static) as model:
        infer(model, bins, str(tmp_path / "results"))
    transcripts, errors = post_process(description, references, bins, str(tmp_path / "results"), str(tmp_path / "out.csv"))
    assert list(transcripts) == ["dev0"] and errors is None
    assert "no reference transcripts" in capsys.readouterr().out


# the command

SCRIPT = "scripts/offline_inference.py"


@pytest.mark.slow
def test_the_command_has_the_interface_of_the_public_port(export, tone_corpus, command, run_here, tmp_path):
    model = export(batch_size=None, frames=FRAMES)  # like a default export
    words = ("--model_path", model, "--data_dir", tone_corpus, "--manifest", "dev.csv", "--output_dir", "work", "--device=cpu")
    whole = command(tmp_path, SCRIPT, *words, "--pre_process", "True", "--batchSize", "8")
    assert whole.status == 0, whole.err
    lines = whole.out.splitlines()
    rate = next(line for line in lines if line.startswith("***     Validation WER:  "))
    assert any(line.startswith("average infer time:") and "ms/utterance,FPS is " in line for line in lines)
    assert any("2 batches of 8" in line and "s of audio per second" in line for line in lines)
    # by default the bins exist already
    again = run_here(tmp_path, SCRIPT, *words)
    assert again.status == 0 and rate in again.out.splitlines(), again.err

    # the files that ais_bench would write
    results = tmp_path / "result_Files"
    elsewhere = tmp_path / "om" / "2026_01_31-12_00_00"
    elsewhere.mkdir(parents=True)
    for i in range(13):
        shutil.move(str(results / ("davinci_dev%d.wav_input_data_output0.bin" % i)), str(elsewhere / ("dev%d_0.bin" % i)))
    (tmp_path / "om" / "2026_01_31-12_00_00_summary.json").write_text(json.dumps({}))
    scored = run_here(tmp_path, SCRIPT, *words, "--result_dir", "om")
    assert scored.status == 0 and rate in scored.out.splitlines(), scored.err
    assert "results in om/2026_01_31-12_00_00, named NAME_0.bin" in scored.out and "average infer time" not in scored.out
    lost = run_here(tmp_path, SCRIPT, *words, "--inference", "False")
    assert lost.status == 3 and "result_Files holds no result .bin file" in lost.err

    # names and place of earlier versions, which are read without the flag
    ours = run_here(tmp_path, SCRIPT, *words, "--pre_process=True", "--naming=ours")
    assert ours.status == 0 and rate in ours.out.splitlines(), ours.err
    assert "davinci_dev0_output0.bin" in os.listdir(str(tmp_path / "work" / "jasper" / "result_Files"))
    shutil.rmtree(str(tmp_path / "result_Files"))
    scored = run_here(tmp_path, SCRIPT, *words, "--inference", "False")
    assert scored.status == 0 and rate in scored.out.splitlines(), scored.err


@pytest.mark.slow
def test_exit_statuses_and_messages_of_the_command(static, tone_corpus, run_here, tmp_path):
    known = ("--model_path", static, "--data_dir", tone_corpus, "--manifest", "dev.csv", "--output_dir", tmp_path / "work")
    (tmp_path / "file").write_text("")
    for words, status, message in (
            (("--pre_process", "maybe"), 2, "is 'maybe', expected True or False"),
            (("--batch", "3"), 2, "unrecognized arguments: --batch 3"),
            (("--batchSize", "0"), 2, "0 is too small, at least 1 is needed"),
            (("--model_path", "none.pb"), 3, "there is no model none.pb"),
            (("--model_path", "~/none.pb"), 3, "there is no model %s" % os.path.expanduser("~/none.pb")),
            (("--model_path", static, "--data_dir=~/none"), 3, "--data_dir %s is not" % os.path.expanduser("~/none")),
            (known, 3, "--pre_process True writes it"),
            (known + ("--pre_process=True", "--manifest=other.csv"), 3, "other.csv"),
            (known + ("--post_process", "0", "--inference", "no"), 2, "set at least one of them to True"),
            (known + ("--pre_process=True", "--output_dir=file"), 3, "cannot make the folder file/jasper: Not a directory"),
            (known + ("--naming=theirs",), 2, "invalid choice: 'theirs'"),
            (known + ("--pre_process=True", "--device=npu"), 4, "this machine does not have")):
        done = run_here(tmp_path, SCRIPT, *words)
        assert done.status == status and message in done.err and "Traceback" not in done.err, (words, done.err)
    # a wrong model, batch or device is found before the features are computed
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_models_that_compute_features_are_refused(export, tone_corpus, run_here, tmp_path):
    done = run_here(tmp_path, SCRIPT, "--model_path", export(batch_size=1, frames=FRAMES, with_features=True), "--data_dir",
                   tone_corpus, "--pre_process=True")
    assert done.status == 2 and "export without it" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [4, None])
def test_on_an_npu_the_whole_model_is_offloaded(export, batch_size, tone_corpus, command, npu_server, tmp_path):
    words = ("--model_path", export(batch_size=batch_size, frames=FRAMES), "--data_dir", tone_corpus,
             "--manifest", "dev.csv", "--output_dir", "work", "--batchSize=4")
    on_cpu = command(tmp_path, SCRIPT, *words, "--pre_process=True", "--device=cpu")
    record = tmp_path / "sessions"
    environment = npu_server.environment(FAKE_ASCEND_RECORD_FILE=str(record))
    on_npu = command(tmp_path, SCRIPT, *words, "--device=npu", "--precision_mode=allow_mix_precision", **environment)
    assert on_cpu.status == 0 and on_npu.status == 0, on_cpu.err + on_npu.err

    def scores(done):
        return [line for line in done.out.splitlines() if "Validation" in line]

    assert scores(on_cpu) == scores(on_npu) != []
    for setting in ("npu_params['graph_run_mode'] = 0", "npu_params['precision_mode'] = 'allow_mix_precision'"):
        assert setting in on_npu.out
    session, = [json.loads(line) for line in record.read_text().splitlines()]
    check, model = session["graphs"]
    assert check["fetches"] == ["npu_check/MatMul:0"]
    assert model["fetches"] == ["ForwardPass/fully_connected_ctc_decoder/logits:0"]
    # one graph, compiled once although the last batch is not full
    assert model["offloaded"] == model["operations"] > 20 and model["geops"] == model["shapes"] == model["builds"] == 1
