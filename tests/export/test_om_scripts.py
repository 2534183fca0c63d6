"""pb2om.sh and om_infer.sh: their commands, and how they handle programs that stand in for ATC, msame and ais_bench.

The tests have neither ATC nor an Ascend device: the commands follow the tools' documentation.
"""
import os
import shlex
import stat
import sys

import numpy as np
import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.export.ascend.atc import atc_arguments
from open_seq2seq.export.ascend.bins import BinWriter

PYTHON = ("--python", sys.executable)


def program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def with_path(folder):
    return "%s:%s" % (folder, os.environ["PATH"])


def options_of(arguments):
    return dict(argument.lstrip("-").split("=", 1) for argument in arguments)


def test_shapes_come_from_the_json(export):
    model = export(batch_size=2, frames=320)
    options = options_of(atc_arguments(model, soc_version="Ascend910A", precision_mode="force_fp32"))
    assert options == {
        "model": model, "framework": "3", "soc_version": "Ascend910A", "precision_mode": "force_fp32",
        "input_shape": "input:2,1,320,16;input_reshape:2,160", "output": model[:-len(".pb")] + "_b2_t320"}


def test_the_default_export_is_compiled_for_the_batch_size_that_is_given(export):
    model = export(batch_size=None, frames=320)
    assert options_of(atc_arguments(model))["input_shape"] == "input:1,1,320,16;input_reshape:1,160"
    eight = options_of(atc_arguments(model, batch_sizes=[8]))
    assert eight["input_shape"] == "input:8,1,320,16;input_reshape:8,160" and "dynamic_batch_size" not in eight
    assert eight["output"] == model[:-len(".pb")] + "_b8_t320"
    assert options_of(atc_arguments(model, batch_sizes=[1, 4, 8]))["dynamic_batch_size"] == "1,4,8"


def test_a_model_is_compiled_for_several_batch_sizes_and_lengths(export):
    model = export(batch_size=None, frames=None)
    batches = options_of(atc_arguments(model, batch_sizes=[4, 1], frames=[320]))
    assert batches["input_shape"] == "input:-1,1,320,16;input_reshape:-1,160" and batches["dynamic_batch_size"] == "1,4"
    assert "input_format" not in batches and "dynamic_dims" not in batches
    lengths = options_of(atc_arguments(model, frames=[640, 320]))
    assert lengths["input_shape"] == "input:1,1,-1,16;input_reshape:1,-1"
    assert lengths["input_format"] == "ND" and lengths["dynamic_dims"] == "320,160;640,320"
    both = options_of(atc_arguments(model, batch_sizes=[1, 4], frames=[320, 640]))
    assert both["dynamic_dims"] == "1,320,1,160;1,640,1,320;4,320,4,160;4,640,4,320" and "dynamic_batch_size" not in both


@pytest.mark.parametrize("exported,asked,message", [
    ({"batch_size": 2, "frames": 320}, {"batch_sizes": [4]}, "--batch_size 4, but .* was exported for 2"),
    ({"batch_size": 2, "frames": 320}, {"batch_sizes": [2, 4]}, "--batch_size 2,4, but .* was exported for 2"),
    ({"batch_size": 2, "frames": 320}, {"frames": [640]}, "--frames 640, but .* was exported for 320"),
    ({"batch_size": None, "frames": None}, {"frames": [330]}, "--frames 330: expected a multiple of 16"),
    ({"batch_size": None, "frames": None, "fast_convolutions": True}, {"frames": [320]}, "with --convolutions=plain"),
    ({"batch_size": None, "frames": None}, {}, "has a dynamic number of frames.*give --frames"),
    ({"batch_size": 1, "frames": 320, "with_features": True}, {}, "Export without --with_features"),
])
def test_shapes_that_contradict_the_model_are_refused(export, exported, asked, message):
    with pytest.raises(UsageError, match=message):
        atc_arguments(export(**exported), **asked)


@pytest.mark.slow
def test_a_dry_run_prints_the_ports_command(export, command, tmp_path):
    model = export(batch_size=None, frames=320)
    done = command(tmp_path, "scripts/pb2om.sh", *PYTHON, "--model", model, "--batchSize=8", "--soc_version=Ascend310",
                   "--dry_run", "--output", "jasper b1", "--", "--log=info")
    assert done.status == 0, done.err
    assert ' --input_shape="input:8,1,320,16;input_reshape:8,160" ' in done.out
    assert shlex.split(done.out) == [
        "atc", "--model=" + model, "--framework=3", "--soc_version=Ascend310",
        "--input_shape=input:8,1,320,16;input_reshape:8,160", "--output=jasper b1", "--log=info"]
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.slow
def test_without_atc_the_message_names_the_script_to_source(export, command, tmp_path):
    done = command(tmp_path, "scripts/pb2om.sh", *PYTHON, "--model", export(batch_size=1, frames=320))
    assert done.status == 4 and "atc was not found" in done.err and "source /usr/local/Ascend" in done.err


@pytest.mark.slow
def test_atc_status_and_result_are_checked(export, command, tmp_path):
    model = export(batch_size=1, frames=320)
    program(tmp_path / "bin" / "atc", 'printf "%s\\n" "$@" > calls; exit "${STATUS:-0}"\n')
    words = ("scripts/pb2om.sh", *PYTHON, "--model", model, "--output", "m")
    failed = command(tmp_path, *words, PATH=with_path(tmp_path / "bin"), STATUS="7")
    assert failed.status == 7 and "atc failed (status 7)" in failed.err
    silent = command(tmp_path, *words, PATH=with_path(tmp_path / "bin"))
    assert silent.status == 1 and "did not write m.om" in silent.err
    assert (tmp_path / "calls").read_text().splitlines() == atc_arguments(model, "m")
    # newer releases append the host's system to the name
    program(tmp_path / "bin" / "atc", 'touch m_linux_x86_64.om\n')
    done = command(tmp_path, *words, PATH=with_path(tmp_path / "bin"))
    assert done.status == 0 and "wrote m_linux_x86_64.om" in done.out


@pytest.mark.parametrize("name, expected", [
    ("310P3", "expected Ascend310P3"), ("ascend910b", "expected Ascend910b"), ("Ascend 310", "expected Ascend310"),
    ("Ascend", "a chip's name"), ("Ascend310; ls", "a chip's name"), ("", "a chip's name"), ("cuda", "a chip's name")])
def test_invalid_chip_names_are_refused(export, name, expected):
    with pytest.raises(UsageError, match="--soc_version is .*" + expected):
        atc_arguments(export(batch_size=1, frames=320), soc_version=name)
    assert "--soc_version=Ascend910_9391" in atc_arguments(export(batch_size=1, frames=320), soc_version="Ascend910_9391")


@pytest.mark.slow
def test_wrong_options_and_models_are_refused(command, tmp_path):
    for words, status, message in (
            (("--frobnicate",), 2, "unknown argument --frobnicate"), (("--model",), 2, "--model needs a value"),
            (("--modelx=3",), 2, "unknown option --modelx"),
            (("--model", "no.pb"), 3, "there is no model no.pb"), (("--model", "x.om"), 2, "is not a model for ATC"),
            (("--batch_size", "0"), 2, "expected whole numbers above 0"),
            (("--precision_mode", "fast"), 2, "invalid choice: 'fast'")):
        done = command(tmp_path, "scripts/pb2om.sh", *PYTHON, *words)
        assert done.status == status and message in done.err, (words, done.err)
    assert command(tmp_path, "scripts/pb2om.sh", "--help").out.startswith("usage: bash scripts/pb2om.sh")


# om_infer.sh

@pytest.fixture
def bins(tmp_path):
    with BinWriter(str(tmp_path / "jasper")) as writer:
        for name in ("a", "b"):
            writer.add(name, np.ones([4, 2], np.float32), np.ones([2], np.float32))
    (tmp_path / "m.om").write_bytes(b"")
    return tmp_path


MSAME = '''
printf "%s\\n" "$@" > calls
while [ $# -gt 0 ]; do case "$1" in --output) out="$2/20260131_12_00_00" ;; esac; shift; done
if [ "${STATUS:-0}" != 0 ]; then exit "$STATUS"; fi
mkdir -p "$out"
if [ -z "${NOTHING:-}" ]; then touch "$out/a_output_0.bin" "$out/b_output_0.bin"; fi
'''


def test_msame_gets_both_folders_and_its_results_are_checked(bins, command):
    msame = program(bins / "tools" / "msame", MSAME)
    words = ("scripts/om_infer.sh", "--model", "m.om", "--input", "jasper", "--device", "3", "--tool", "msame")
    failed = command(bins, *words, MSAME=msame, STATUS="5")
    assert failed.status == 5 and "msame failed (status 5)" in failed.err
    nothing = command(bins, *words, MSAME=msame, NOTHING="1")
    assert nothing.status == 1 and "wrote no .bin below jasper/om_results" in nothing.err
    done = command(bins, *words, "--", "--loop", "1", PATH=with_path(bins / "tools"))
    assert done.status == 0, done.err
    assert "offline_inference.py --inference False --result_dir jasper/om_results" in done.out
    assert (bins / "calls").read_text().split() == [
        "--model", "m.om", "--input", "jasper/input_0,jasper/input_reshape", "--output", "jasper/om_results", "--outfmt", "BIN",
        "--device", "3", "--loop", "1"]


def test_ais_bench_is_preferred_if_installed(bins, command):
    (bins / "packages" / "ais_bench").mkdir(parents=True)
    (bins / "packages" / "ais_bench" / "__init__.py").write_text("")
    (bins / "packages" / "ais_bench" / "__main__.py").write_text(
        "import sys\nopen('calls', 'w').write(' '.join(sys.argv[1:]))\nopen(sys.argv[6] + '/a_0.bin', 'w')\n")
    words = ("scripts/om_infer.sh", "--model=m.om", "--input=jasper", "--output=o p")
    done = command(bins, *words, PYTHONPATH=str(bins / "packages"), PATH=with_path(os.path.dirname(program(
        bins / "tools" / "msame", "exit 9\n"))))
    assert done.status == 0, done.err
    assert (bins / "calls").read_text() == (
        "--model m.om --input jasper/input_0,jasper/input_reshape --output o p --outfmt BIN --device 0")


def test_without_a_tool_the_message_names_its_origin(bins, command):
    words = ("scripts/om_infer.sh", "--model", "m.om", "--input", "jasper")
    done = command(bins, *words)
    assert done.status == 4 and "ais_bench or msame was not found" in done.err and "set_env.sh" in done.err
    assert not (bins / "jasper" / "om_results").exists()
    dry = command(bins, *words, "--dry_run")
    assert dry.status == 0 and shlex.split(dry.out)[1:5] == ["-m", "ais_bench", "--model", "m.om"]
    assert command(bins, *words, "--tool", "msame", "--dry_run").out.startswith("msame --model m.om ")


def test_bad_bins_and_options_are_refused(bins, command):
    for words, status, message in (
            ((), 2, "--model FILE.om is missing"), (("--model", "no.om"), 3, "no.om does not exist"),
            (("--model", "m.om", "--tool", "trtexec"), 2, "--tool trtexec is unknown"),
            (("--model", "m.om", "--device", "one"), 2, "--device one"),
            (("--model", "m.om", "--input", "elsewhere"), 3, "no bins in elsewhere/input_0")):
        done = command(bins, "scripts/om_infer.sh", *words)
        assert done.status == status and message in done.err, (words, done.err)
    os.remove(str(bins / "jasper" / "input_reshape" / "b.bin"))
    odd = command(bins, "scripts/om_infer.sh", "--model", "m.om", "--input", "jasper", "--dry_run")
    assert odd.status == 3 and "./b.bin is in one of" in odd.err
