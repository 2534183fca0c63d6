"""The names of the ModelZoo's Jasper port: its scripts score what this project writes, and this project scores what they write.

The functions ``port_*`` follow the naming, number formats and layouts of the port's jasper_online_inference.py and
jasper_post_process.py (built-in/ACL_TensorFlow in Ascend's ModelZoo).
"""
import csv
import os
import types

import numpy as np
import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.export.ascend.naming import names_of_stems, stem_of, stems_of
from open_seq2seq.export.ascend.offline import infer, open_bins, post_process, pre_process, results_folder
from open_seq2seq.export.description import LOGITS_OUTPUT, read_description
from open_seq2seq.export.runtime.exported_model import ExportedModel
from open_seq2seq.export.runtime.scoring import References

FRAMES = 160
CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"  # the port's vocabulary is fixed


def port_batches(folder, shape, batch_size):
    """The port reads float16 and pads the last batch with zeros. It takes the files in the folder's order, in each folder."""
    arrays = [np.fromfile(os.path.join(folder, name), np.float16).reshape(shape) for name in sorted(os.listdir(folder))]
    arrays += [np.zeros(shape, np.float16)] * (-len(arrays) % batch_size)
    return [np.stack(arrays[start:start + batch_size]) for start in range(0, len(arrays), batch_size)]


def port_inference(model, bins_folder, results, batch_size):
    """A result has the bin's name up to its last dot, and holds what the graph computes for one row, all frames."""
    features = os.path.join(bins_folder, "input_0")
    names = [name[:name.rfind(".")] for name in sorted(os.listdir(features))]
    masks = port_batches(os.path.join(bins_folder, "input_reshape"), [FRAMES // 2], batch_size)
    rows = []
    for images, mask in zip(port_batches(features, [1, FRAMES, 16], batch_size), masks):
        rows.extend(model.session.run(LOGITS_OUTPUT + ":0", {"input:0": images, "input_reshape:0": mask}))
    os.makedirs(results)
    for name, row in zip(names, rows):
        row.tofile(os.path.join(results, "davinci_%s_output0.bin" % name))


def port_post_process(results, manifest):
    """(references, transcripts) of all files of a folder, in its order. All frames are decoded, and the row is the first that
    contains the fourth part of the name from the end."""
    with open(manifest, newline="") as file:
        rows = list(csv.reader(file))
    references, transcripts = [], []
    for name in os.listdir(results):
        utterance = name.split("_")[-4]
        path = np.fromfile(os.path.join(results, name), np.float32).reshape(-1, 29).argmax(1)
        kept = [output for output, before in zip(path, [None] + list(path)) if output != before and output != 28]
        transcripts.append("".join(CHARACTERS[output] for output in kept))
        references.append(next((row[2] for row in rows if utterance in row[0]), ""))
    return references, transcripts


@pytest.fixture(scope="module")
def model(export):
    with ExportedModel(export(batch_size=4, frames=FRAMES)) as model:
        yield model


@pytest.fixture
def references(tone_corpus):
    return References([str(tone_corpus / "dev.csv")])


def test_the_port_scores_what_is_written(model, references, tmp_path):
    pre_process(model.description, references, str(tmp_path))
    bins = open_bins(model.description, str(tmp_path))
    infer(model, bins, str(tmp_path / "results"), 8)
    transcripts, errors = post_process(model.description, references, bins, str(tmp_path / "results"), str(tmp_path / "out.csv"))
    scored = port_post_process(str(tmp_path / "results"), references.manifests[0])
    # it decodes the padding as well: the results have blanks there
    assert sorted(scored[1]) == sorted(transcripts.values()) and len(set(scored[1])) > 5
    assert sorted(scored[0]) == sorted(row.transcript for row in references.rows.values())
    assert transcript_errors(*scored).word_error_rate.rate == errors.word_error_rate.rate


@pytest.mark.parametrize("naming, name", [("modelzoo", "davinci_dev3.wav_input_data_output0.bin"),
                                          ("ours", "davinci_dev3_output0.bin")])
def test_what_the_port_writes_is_scored(model, references, tmp_path, naming, name):
    pre_process(model.description, references, str(tmp_path), "float16", naming=naming)
    port_inference(model, str(tmp_path), str(tmp_path / "port"), 4)
    assert name in os.listdir(str(tmp_path / "port"))
    bins = open_bins(model.description, str(tmp_path))
    infer(model, bins, str(tmp_path / "results"), 4)
    expected, other = (post_process(model.description, references, bins, str(tmp_path / folder), str(tmp_path / "out.csv"))[0]
                       for folder in ("results", "port"))
    assert expected == other and len(set(expected.values())) > 5
    # the bins may have been written again, in the other naming
    pre_process(model.description, references, str(tmp_path), naming="ours" if naming == "modelzoo" else "modelzoo")
    bins = open_bins(model.description, str(tmp_path))
    again, _ = post_process(model.description, references, bins, str(tmp_path / "port"), str(tmp_path / "out.csv"))
    assert again == expected


def test_stems():
    assert stem_of("84-121123-0000", "a/84-121123-0000.wav", "modelzoo") == "84-121123-0000.wav_input_data"
    assert stem_of("84-121123-0000", "a/84-121123-0000.wav", "ours") == "84-121123-0000"
    assert stem_of("b_c", "b.c.fl ac", "modelzoo") == "b_c.flac_input_data"
    assert stem_of("noextension", "x/noextension", "modelzoo") == "noextension_input_data"
    assert stems_of("b_c", "x/b.c.wav") == ["b_c.wav_input_data", "b_c", "b.c.wav_input_data"]
    rows = {name: types.SimpleNamespace(wav_filename=wav)
            for name, wav in (("a", "x/a.wav"), ("a_2", "y/a.wav"), ("b_c", "b.c.wav"))}
    assert names_of_stems(rows) == {
        "a": "a", "a_2": "a_2", "b_c": "b_c", "a.wav_input_data": "a", "a_2.wav_input_data": "a_2", "b_c.wav_input_data": "b_c",
        "b.c.wav_input_data": "b_c"}


def test_the_results_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(str(tmp_path))
    bins, ours = "work/jasper", os.path.join("work", "jasper", "result_Files")
    for exists in (False, True):
        assert results_folder("modelzoo", bins, exists) == "result_Files" and results_folder("ours", bins, exists) == ours
    # an earlier version's folder is found without the flag
    os.makedirs(ours)
    assert results_folder("modelzoo", bins, True) == ours and results_folder("modelzoo", bins, False) == "result_Files"
    assert capsys.readouterr().out == ""
    os.makedirs("result_Files")
    for newer, older in (("result_Files", ours), (ours, "result_Files")):
        os.utime(newer, (2000, 2000))
        os.utime(older, (1000, 1000))
        for naming in ("modelzoo", "ours"):
            assert results_folder(naming, bins, True) == newer
        assert "both exist: taking %s, which is newer" % newer in capsys.readouterr().out


def test_two_bins_of_one_utterance_are_refused(model, references, tmp_path):
    pre_process(model.description, references, str(tmp_path))
    for kind in ("input_0", "input_reshape"):
        # as the port names a file without extension
        os.rename(str(tmp_path / kind / "dev1.wav_input_data.bin"), str(tmp_path / kind / "dev0_input_data.bin"))
    with pytest.raises(DataError, match="1 of 13 bins, e.g. .*dev0_input_data.bin, belong to no row"):
        post_process(model.description, references, open_bins(model.description, str(tmp_path)), str(tmp_path), "out.csv")


def test_the_default_export_runs_in_any_batch(export, references, tmp_path):
    path = export(batch_size=None, frames=FRAMES)
    assert read_description(path).frames == FRAMES
    with ExportedModel(path) as dynamic:
        pre_process(dynamic.description, references, str(tmp_path))
        bins = open_bins(dynamic.description, str(tmp_path))
        for batch_size in (1, 8):
            infer(dynamic, bins, str(tmp_path / str(batch_size)), batch_size)
    with ExportedModel(path, batch_size=8) as static:
        # as for an NPU
        assert static.session.graph.get_tensor_by_name("input:0").shape.as_list() == [8, 1, FRAMES, 16]
        assert static.session.graph.get_tensor_by_name("ForwardPass/fully_connected_ctc_decoder/logits:0").shape.as_list() == [
            8, FRAMES // 2, 29]
        infer(static, bins, str(tmp_path / "static"), 8)
    for name in os.listdir(str(tmp_path / "1")):
        one, eight, other = (np.fromfile(str(tmp_path / folder / name), np.float32) for folder in ("1", "8", "static"))
        np.testing.assert_allclose(eight, one, atol=1e-4)
        np.testing.assert_allclose(other, one, atol=1e-4)
