"""run_1p.sh, run_8p.sh and run_eval.sh as commands, on the CPU, with the real run.py."""
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import types

import pytest

from tests.paths import REPOSITORY

PATIENCE = 300


def environment(**variables):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("HOROVOD_", "RANK_", "JASPER_DATA", "ASCEND_", "PYTHONPATH"))}
    return dict(kept, **variables)


def script(name):
    return os.path.join(REPOSITORY, "scripts", name)


@pytest.fixture
def run_script(tmp_path):
    """Runs a script in ``tmp_path`` with the Python of this test."""
    def call(name, *words, python=sys.executable, **variables):
        options = ["--python", python] if python else []
        done = subprocess.run(["bash", script(name)] + options + list(words), cwd=str(tmp_path), env=environment(**variables),
                              capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
        return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)
    return call


@pytest.fixture
def train(corpus, run_script):
    """Runs a script on the tiny corpus, whose config is made independent of the working directory; results go to a folder
    whose name has a blank and braces."""
    text = (corpus / "config.py").read_text()
    for name in ("vocab.txt", "train.csv", "dev.csv"):
        text = text.replace('"%s"' % name, repr(str(corpus / name)))
    (corpus / "config.py").write_text(text)

    def call(name, *words, **variables):
        return run_script(name, "--device=cpu", "--config", "config.py", "--result=my {results}", *words, **variables)
    return call


def steps_of(folder):
    return sorted(int(re.match(r"model\.ckpt-(\d+)\.index$", name).group(1)) for name in os.listdir(str(folder))
                  if re.match(r"model\.ckpt-\d+\.index$", name))


@pytest.mark.slow
def test_one_device_trains_resumes_fails_evaluates_and_starts_a_new_run(train, corpus):
    results = corpus / "my {results}" / "1p"
    logs, log = results / "3" / "jasper_log_folder" / "logs", results / "train_3.log"
    first = train("run_1p.sh", "--device_id", "3")
    assert first.status == 0, first.err
    assert "new run in %s" % logs.parent in first.out and first.out.endswith("turing train success\n")
    assert steps_of(logs) == [3, 6] and log.read_text().endswith("turing train success\n")

    second = train("run_1p.sh", "--device_id=3", "--", "--max_steps=9")
    assert second.status == 0, second.err
    assert "resuming the run in %s from model.ckpt-6" % logs.parent in second.out
    assert 9 in steps_of(logs) and log.read_text().count("turing train success\n") == 2
    assert log.read_text().startswith(first.out.partition("\n")[2].partition("\n")[0])

    failed = train("run_1p.sh", "--device_id=3", "--", "--max_steps=12", "--optimizer_params/beta1=high")
    assert failed.status == 2 and failed.out.endswith("turing train fail\n")
    assert log.read_text().endswith("turing train fail\n") and "beta1" in failed.out

    evaluated = train("run_eval.sh", "--from", "1p")
    assert evaluated.status == 0, evaluated.err
    assert "evaluating %s" % logs.parent in evaluated.out
    assert re.search(r"\*\*\* +Validation WER: +\d\.\d{4}", evaluated.out) and evaluated.out.endswith("turing eval success\n")
    assert (results / "eval_0.log").read_text().endswith("turing eval success\n")

    fresh = train("run_1p.sh", "--device_id=3", "--fresh", "--", "--max_steps=3")
    assert fresh.status == 0 and steps_of(logs) == [3], fresh.err
    kept = re.search(r"--fresh: the previous run and its logs were moved to (.*)\n", fresh.out).group(1)
    assert 9 in steps_of(os.path.join(kept, "jasper_log_folder", "logs"))
    assert os.path.exists(os.path.join(kept, "train_3.log")) and log.read_text().count("turing train") == 1


@pytest.mark.slow
def test_missing_data_have_their_exit_status(train, corpus):
    os.remove(str(corpus / "train.csv"))
    failed = train("run_1p.sh")
    assert failed.status == 3 and "train.csv" in failed.out and failed.out.endswith("turing train fail\n")
    assert "launch: rank 0 of 1 (device 0) failed with exit status 3" in failed.err


@pytest.mark.slow
def test_several_processes_train_in_one_run_directory(train, corpus, needs_horovod):
    done = train("run_8p.sh", "--devices", "2,5", "--", "--log_format=modelzoo")
    assert done.status == 0, done.err
    results = corpus / "my {results}" / "8p"
    assert 6 in steps_of(results / "2" / "jasper_log_folder" / "logs") and not (results / "5").exists()
    for device in (2, 5):
        log = (results / ("train_%d.log" % device)).read_text()
        # the port's scripts read the log of the last device
        assert log.endswith("turing train success\n") and len(re.findall(r"^\*\*\* global_step: ", log, re.MULTILINE)) == 6
    evaluated = train("run_eval.sh")
    assert evaluated.status == 0 and (results / "eval_0.log").read_text().endswith("turing eval success\n"), evaluated.err


@pytest.mark.slow
def test_a_signal_to_a_script_stops_the_training(train, corpus):
    process = subprocess.Popen(
        ["bash", script("run_1p.sh"), "--device=cpu", "--python", sys.executable, "--config=config.py", "--result=results", "--",
         "--max_steps=1000000"], cwd=str(corpus), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stdout:
            if "Global step" in line:
                break
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 143 and "launch: stopped by SIGTERM" in err and out.endswith("turing train fail\n")
    # the step was finished and saved, and the command to resume is the one that was typed
    assert "which is saved. Resume with:\n  bash %s --device=cpu --python %s --config=config.py --result=results -- " % (
        script("run_1p.sh"), sys.executable) in out
    assert (corpus / "results" / "1p" / "train_0.log").read_text().endswith("turing train fail\n")


@pytest.mark.slow
def test_two_runs_do_not_write_into_one_folder(train, corpus):
    (corpus / "my {results}" / "1p").mkdir(parents=True)
    lock = corpus / "my {results}" / "1p" / ".lock_0"
    holder = subprocess.Popen(["flock", str(lock), "sh", "-c", "echo locked; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"locked\n"
        refused = train("run_1p.sh")
    finally:
        holder.communicate()
    assert refused.status == 4 and "another run is writing into" in refused.err
    assert not (corpus / "my {results}" / "1p" / "train_0.log").exists()


@pytest.mark.parametrize("name", ["run_1p.sh", "run_8p.sh", "run_eval.sh"])
def test_help_and_wrong_options(run_script, tmp_path, name):
    helped = run_script(name, "--help", python=None)
    assert helped.status == 0 and helped.out.startswith("usage: bash scripts/" + name) and not helped.err
    for words, message in ((["--frobnicate"], "unknown option --frobnicate"), (["--device=tpu"], "--device tpu is unknown"),
                           (["--config", "nowhere.py"], "nowhere.py does not exist"), (["--result"], "--result needs a value"),
                           (["--data", "nowhere"], "--data nowhere is not a directory"), (["word"], "unknown argument word"),
                           (["--fresh=yes"], "unknown option --fresh"), (["--max_steps=3"], "go after --")):
        wrong = run_script(name, *words, python=None)
        assert wrong.status == 2 and wrong.err.startswith(name + ": ") and message in wrong.err, wrong.err
    assert not os.listdir(str(tmp_path))


@pytest.mark.parametrize("name", ["train_1p.sh", "train_8p.sh", "eval_1p.sh"])
def test_help_of_the_inner_scripts_is_their_comment(run_script, name):
    helped = run_script(name, "--help", python=None)
    assert helped.status == 0 and "    bash scripts/%s PYTHON DEVICE " % name in helped.out and not helped.err
    assert "#" not in helped.out and "set -" not in helped.out


@pytest.mark.parametrize("name,words,message", [
    ("run_1p.sh", ["--device_id", "x"], "--device_id x: expected the number of a device"),
    ("run_1p.sh", ["--devices", "0,1"], "unknown option --devices"),
    ("run_8p.sh", ["--devices", "0,x"], "--devices 0,x: expected numbers separated by commas"),
    ("run_8p.sh", ["--processes", "0"], "--processes 0: expected a whole number above 0"),
    ("run_8p.sh", ["--processes=2", "--devices=0,1"], "keep one"),
    ("run_eval.sh", ["--fresh"], "unknown option --fresh"),
    ("run_eval.sh", ["--from", "2p"], "--from 2p: expected 1p, 8p, the number of a device or a directory"),
    ("run_eval.sh", ["--prefer_device", "x"], "--prefer_device x: expected the number of a device"),
    ("train_1p.sh", [], "bash scripts/run_1p.sh --device_id 0"),
    ("train_1p.sh", ["zero"], "bash scripts/run_1p.sh --device_id 0"),
    ("train_1p.sh", ["0", "--devices=0,1"], "unknown option --devices"),
    ("train_8p.sh", ["python"], "bash scripts/run_8p.sh"),
    ("train_8p.sh", ["3"], "    bash scripts/run_8p.sh\n    bash scripts/run_1p.sh --device_id 3\n"),
    ("eval_1p.sh", ["one"], "bash scripts/run_eval.sh --device_id 0"),
    ("eval_1p.sh", ["--device_id", "1", "--data", "my data"], "bash scripts/run_eval.sh --device_id 1 --data my\\ data\n"),
])
def test_wrong_values(run_script, name, words, message):
    wrong = run_script(name, *words, python=None)
    assert wrong.status == 2 and message in wrong.err, wrong.err


@pytest.mark.parametrize("words, searched", [((), "[18]p/*"), (("--from=8p",), "8p/*"), (("--from=3",), "[18]p/3")])
def test_evaluation_without_a_checkpoint(run_script, tmp_path, words, searched):
    refused = run_script("run_eval.sh", "--device=cpu", "--result", "results", *words)
    assert refused.status == 3 and not refused.out
    assert "no checkpoint in %s/%s/jasper_log_folder/logs\n" % (tmp_path / "results", searched) in refused.err


@pytest.mark.parametrize("name", ["run_1p.sh", "run_8p.sh", "run_eval.sh"])
def test_an_npu_without_the_adapter_is_an_error_that_names_it(run_script, tmp_path, name):
    logs = tmp_path / "results" / "1p" / "0" / "jasper_log_folder" / "logs"
    logs.mkdir(parents=True)
    (logs / "model.ckpt-3.index").write_text("")
    refused = run_script(name, "--device", "npu", "--result", "results")
    assert refused.status == 4 and "%s does not have npu_bridge" % sys.executable in refused.err and "set_env.sh" in refused.err
    assert "turing" not in refused.out and os.listdir(str(tmp_path / "results")) == ["1p"]


PYTHON = '''#!/bin/sh
case "$*" in
*run_options*|*find_spec*) exit 0 ;;
*make_rank_table.py*|*inspect_config.py*) exec %s "$@" ;;
*) printf '%%s\\n' "$@" > calls.txt; env > environment.txt ;;
esac
''' % sys.executable


@pytest.fixture
def started_on_npus(run_script, tmp_path):
    """Runs a script with a Python that seems to have the adapter; records its arguments and environment variables."""
    python = tmp_path / "python"
    python.write_text(PYTHON.replace("calls.txt", str(tmp_path / "calls.txt")).replace(
        "environment.txt", str(tmp_path / "environment.txt")))
    python.chmod(python.stat().st_mode | stat.S_IXUSR)

    def call(name, *words, **variables):
        done = run_script(name, "--device=npu", "--result", "results", *words, python=str(python), **variables)
        assert done.status == 0, done.err
        done.words = (tmp_path / "calls.txt").read_text().splitlines()
        done.environment = (tmp_path / "environment.txt").read_text()
        return done
    return call


def value_after(words, option):
    return words[words.index(option) + 1]


def make_run(folder, time=None, name="model.ckpt-3"):
    """A run folder that seems to have a checkpoint, which was written ``time`` seconds after the epoch."""
    logs = folder / "jasper_log_folder" / "logs"
    (logs / name).parent.mkdir(parents=True)
    (logs / (name + ".index")).write_text("")
    if time is not None:
        os.utime(str(logs / (name + ".index")), (time, time))
    return folder / "jasper_log_folder"


@pytest.fixture
def port(started_on_npus, tmp_path):
    """A copy of the scripts and configs, as a user of the ModelZoo port has them. Its ``call`` runs one of its scripts without
    --result, with the Python of ``started_on_npus``."""
    for folder in ("scripts", "configs"):
        shutil.copytree(os.path.join(REPOSITORY, folder), str(tmp_path / "clone" / folder),
                        ignore=shutil.ignore_patterns("result", "__pycache__"))
    os.symlink(os.path.join(REPOSITORY, "open_seq2seq"), str(tmp_path / "clone" / "open_seq2seq"))
    started_on_npus("run_1p.sh")  # creates the Python

    def call(name, *options, words=()):
        calls = tmp_path / "calls.txt"
        calls.unlink()
        command = ["bash", str(tmp_path / "clone" / "scripts" / name)] + list(options) + [
            "--device=npu", "--python", str(tmp_path / "python"), "--"] + list(words)
        done = subprocess.run(command, cwd=str(tmp_path), env=environment(), capture_output=True, text=True, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return types.SimpleNamespace(out=done.stdout, err=done.stderr, words=calls.read_text().splitlines())
    clone = tmp_path / "clone"
    return types.SimpleNamespace(call=call, ours=clone / "result", theirs=clone / "scripts" / "result",
                                 config=clone / "configs" / "speech2text" / "jasper5x3_LibriSpeech_nvgrad_masks_1p.py")


def logdir_of(started):
    return [word for word in started.words if word.startswith("--logdir=")][-1].partition("=")[2]


@pytest.mark.parametrize("script_name, run", [("run_1p.sh", "1p/0"), ("run_8p.sh", "8p/0")])
def test_a_run_in_the_place_of_the_port_is_resumed_there_and_the_newer_of_two(port, script_name, run):
    assert logdir_of(port.call(script_name)) == str(port.ours / run / "jasper_log_folder")
    theirs = make_run(port.theirs / run, time=2000)
    resumed = port.call(script_name)
    assert logdir_of(resumed) == str(theirs) and "--continue_learning" in resumed.words and "two runs" not in resumed.out
    assert value_after(resumed.words, "--log") == str(port.theirs / os.path.dirname(run) / "train_{device_id}.log")
    # with the fractions of seconds
    for time, taken, other in ((2000.5, port.ours, port.theirs), (1999.5, port.theirs, port.ours)):
        shutil.rmtree(str(port.ours / run), ignore_errors=True)
        make_run(port.ours / run, time=time)
        resumed = port.call(script_name)
        assert logdir_of(resumed) == str(taken / run / "jasper_log_folder")
        assert "the newer one, in %s, is resumed, not that in %s (" % (taken, other / run / "jasper_log_folder") in resumed.out
    # both are set aside, so that no later start resumes one of them
    fresh = port.call(script_name, "--fresh")
    assert logdir_of(fresh) == str(port.ours / run / "jasper_log_folder") and "--continue_learning" not in fresh.words
    assert fresh.out.count("--fresh: the previous run and its logs were moved to") == 2 and not (port.theirs / run).exists()
    # a given folder is the only one
    make_run(port.theirs / run)
    given = port.call(script_name, "--result=elsewhere")
    assert "--continue_learning" not in given.words and "elsewhere" in logdir_of(given)


def test_an_evaluation_looks_into_the_place_of_the_port(port):
    theirs = make_run(port.theirs / "8p" / "0", time=2000)
    evaluated = port.call("run_eval.sh")
    assert logdir_of(evaluated) == str(theirs) and "runs in" not in evaluated.out
    assert "--config_file=configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_8p.py" in evaluated.words
    assert value_after(evaluated.words, "--log") == str(port.theirs / "8p" / "eval_{device_id}.log")
    ours = make_run(port.ours / "1p" / "3", time=3000)
    evaluated = port.call("run_eval.sh")
    assert logdir_of(evaluated) == str(ours)
    assert "runs in %s %s: taking the newest one" % (port.ours, port.theirs) in evaluated.out
    assert logdir_of(port.call("run_eval.sh", "--from=8p")) == logdir_of(port.call("run_eval.sh", "--from", "0")) == str(theirs)
    # as in the port, the number is also that of the run, if there is one
    for device, logdir in (("0", theirs), ("3", ours), ("5", ours)):
        evaluated = port.call("eval_1p.sh", device)
        assert (logdir_of(evaluated), value_after(evaluated.words, "--devices")) == (str(logdir), device)


def test_a_logdir_that_was_edited_in_the_config_is_evaluated(port, tmp_path):
    newest = make_run(port.ours / "1p" / "0")
    text = port.config.read_text()
    assert logdir_of(port.call("run_eval.sh")) == str(newest)
    edited = make_run(tmp_path / "my runs", time=1000)
    in_the_clone = make_run(port.ours.parent / "my runs", time=1000)
    for value, logdir, said in ((str(edited), edited, "has a checkpoint"),
                                ("my runs/jasper_log_folder", in_the_clone, "has a checkpoint"),
                                (str(edited) + "s", newest, "has no checkpoint; looking in"),
                                ("a' + 'b", newest, "is not a plain string and is not looked at (--from DIR")):
        port.config.write_text(text.replace('"logdir": "jasper_log_folder"', "\"logdir\": '%s'" % value))
        evaluated = port.call("run_eval.sh")
        assert logdir_of(evaluated) == str(logdir) and said in evaluated.out
        assert ("not evaluated: %s (" % newest in evaluated.out) == (said == "has a checkpoint")
    # what was asked for by name is not overridden
    port.config.write_text(text.replace('"logdir": "jasper_log_folder"', '"logdir": %r' % str(edited)))
    assert logdir_of(port.call("run_eval.sh", "--from=1p")) == str(newest)


def test_train_1p_with_a_device_trains_on_it(port):
    started = port.call("train_1p.sh", "3")
    assert value_after(started.words, "--devices") == "3" and "--mode=train_eval" in started.words


def test_a_config_without_eval_params_is_trained_without_evaluations(port, tmp_path):
    text = port.config.read_text()
    config = tmp_path / "own.py"
    config.write_text("# eval_params = {}\n" + text.partition("\neval_params")[0])
    note = "%s has no eval_params: training without evaluations (--mode=train)\n" % config
    for name, folder in (("run_1p.sh", "1p"), ("run_8p.sh", "8p")):
        started = port.call(name, "--config", "own.py")
        assert [word for word in started.words if word.startswith("--mode")][-1] == "--mode=train" and note in started.out
        assert (port.ours / folder / "train_0.log").read_text() == note
    for words in (("--eval_params/data_layer_params/shuffle=False",), ("--dev_files", "dev.csv")):
        assert "--mode=train" not in port.call("run_1p.sh", "--config", "own.py", words=words).words
    for with_evaluation in ("from base import *\n", "globals()['eval_params'] = {}\n", "from base import x as eval_params\n",
                            "if True:\n    eval_params = {}\n", "def:\n"):
        config.write_text(with_evaluation)
        assert "--mode=train" not in port.call("run_1p.sh", "--config", "own.py").words


def test_the_rank_table_of_the_repository_is_reduced_to_the_devices(started_on_npus, tmp_path):
    started = started_on_npus("run_8p.sh", "--devices", "4,5", "--", "--max_steps=3", PATH="/usr/bin:/bin")
    table = value_after(started.words, "--rank_table")
    assert table == str(tmp_path / "results" / "8p" / "4" / "rank_table.json")
    with open(table) as file:
        devices = json.load(file)["server_list"][0]["device"]
    assert [(device["rank_id"], device["device_id"]) for device in devices] == [("0", "4"), ("1", "5")]
    assert value_after(started.words, "--devices") == "4,5" and started.words[-1] == "--max_steps=3"
    assert "--logdir=%s" % (tmp_path / "results" / "8p" / "4" / "jasper_log_folder") in started.words
    assert "--config_file=configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_8p.py" in started.words


def test_a_given_rank_table_decides_the_devices(started_on_npus, tmp_path):
    table = os.path.join(REPOSITORY, "scripts", "8p.json")
    for words, variables in ((["--rank_table", table], {}), ([], {"RANK_TABLE_FILE": table})):
        started = started_on_npus("run_8p.sh", *words, **variables)
        assert value_after(started.words, "--rank_table") == table
        assert value_after(started.words, "--devices") == "0,1,2,3,4,5,6,7"


def test_one_npu_needs_no_rank_table(started_on_npus):
    assert "--rank_table" not in started_on_npus("run_8p.sh", "--devices", "6").words
    started = started_on_npus("run_1p.sh", "--device_id", "6")
    assert "--rank_table" not in started.words and value_after(started.words, "--devices") == "6"


def test_the_environment_file_is_sourced_and_the_data_root_exported(started_on_npus, tmp_path):
    (tmp_path / "set_env.sh").write_text('export FROM_SET_ENV="$UNSET_VARIABLE"yes\nfalse\n')
    (tmp_path / "data").mkdir()
    started = started_on_npus("run_1p.sh", "--environment", "set_env.sh", "--data", "data")
    assert "environment: set_env.sh\n" in started.out
    assert "\nFROM_SET_ENV=yes\n" in started.environment and "\nJASPER_DATA=%s\n" % (tmp_path / "data") in started.environment


@pytest.mark.parametrize("best, others", [("best_dev-4", []), ("best_models/val_loss=1.5000-step-4", []),
                                          ("model.ckpt-2", ["best_dev-4"])])
def test_a_run_with_only_a_best_model_is_resumed(started_on_npus, tmp_path, best, others):
    logs = tmp_path / "results" / "1p" / "0" / "jasper_log_folder" / "logs"
    (logs / "best_models").mkdir(parents=True)
    for name in [best] + others:
        (logs / (name + ".index")).write_text("")
    started = started_on_npus("run_1p.sh")
    assert "--continue_learning" in started.words and "from %s " % best in started.out


def test_the_first_of_several_servers_decides_and_they_share_a_folder(started_on_npus, run_script, tmp_path):
    table = tmp_path / "two.json"
    subprocess.run([sys.executable, script("make_rank_table.py"), "--server", "a=192.168.1.1,192.168.1.2", "--server",
                    "b=192.168.1.3,192.168.1.4", "--output", str(table)], check=True, stdout=subprocess.DEVNULL)
    run = tmp_path / "results" / "8p" / "0"
    (run / "jasper_log_folder" / "logs").mkdir(parents=True)
    (run / "jasper_log_folder" / "logs" / "model.ckpt-3.index").write_text("")
    # the run of the first server: other servers may join it, other runs may not
    holder = subprocess.Popen(["flock", "--shared", str(run.parent / ".lock_0"), "sh", "-c", "echo locked; cat"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout.readline() == b"locked\n"
        second = started_on_npus("run_8p.sh", "--fresh", "--rank_table", "two.json", "--server", "b")
        assert "server b of a run in" in second.out and run.exists() and "--continue_learning" not in second.words
        assert value_after(second.words, "--server") == "b"
        logs = [word for word, before in zip(second.words[1:], second.words) if before == "--log"]
        assert logs[-1] == str(tmp_path / "results" / "8p" / "train_{rank}.log")
        alone = run_script("run_8p.sh", "--device=cpu", "--processes=1", "--result=results")
        assert alone.status == 4 and "another run is writing into" in alone.err and not alone.out
    finally:
        holder.communicate()
    for name in ("0", "a"):
        assert "--continue_learning" in started_on_npus("run_8p.sh", "--rank_table", "two.json", "--server", name).words


def test_an_npu_evaluates_the_newest_run_of_both(started_on_npus, tmp_path):
    for number, run in enumerate(("1p/0", "8p/4")):
        logs = make_run(tmp_path / "results" / run, time=number + 1) / "logs"
        # a note about an evaluation does not make a run newer
        os.utime(str(logs), (10 - number, 10 - number))
    started = started_on_npus("run_eval.sh", "--device_id=7")
    assert value_after(started.words, "--devices") == "7" and "--device=npu" in started.words
    results = tmp_path / "results" / "8p"
    assert "--logdir=%s" % (results / "4" / "jasper_log_folder") in started.words
    assert value_after(started.words, "--log") == str(results / "eval_{device_id}.log")
    assert "--config_file=configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_8p.py" in started.words


def test_a_tilde_is_the_home_directory_in_both_forms_of_an_option(started_on_npus, tmp_path):
    (tmp_path / "data").mkdir()
    for words in (["--data=~/data"], ["--data", "~/data"]):
        started = started_on_npus("run_1p.sh", *words, HOME=str(tmp_path))
        assert "\nJASPER_DATA=%s\n" % (tmp_path / "data") in started.environment


def test_the_python_may_be_a_relative_path(started_on_npus, tmp_path):
    os.symlink(str(tmp_path / "python"), str(tmp_path / "again"))
    started = started_on_npus("run_1p.sh", "--python", "./again")
    assert started.words[started.words.index("--") + 1] == os.path.join(str(tmp_path), "./again")


def test_a_rank_table_that_is_missing_or_lacks_a_device(run_script, started_on_npus, tmp_path):
    started_on_npus("run_8p.sh", "--devices", "4,5", PATH="/usr/bin:/bin")  # creates the Python that seems to have the adapter
    words = ("run_8p.sh", "--device=npu", "--result", "results")
    missing = run_script(*words, "--rank_table", "nowhere.json", python=str(tmp_path / "python"))
    assert missing.status == 4 and "nowhere.json cannot be read" in missing.err and "Traceback" not in missing.err
    log = tmp_path / "results" / "8p" / "train_4.log"
    log.write_text("turing train success\n")
    refused = run_script(*words, "--devices", "4,9", python=str(tmp_path / "python"), PATH="/usr/bin:/bin")
    assert refused.status == 4 and "no address of device 9" in refused.err
    assert refused.out.endswith("turing train fail\n") and log.read_text() == "turing train success\nturing train fail\n"


@pytest.mark.slow
def test_two_npus_train(corpus, npu_server, needs_horovod):
    table = os.path.join(REPOSITORY, "scripts", "8p.json")
    options = ["--device=npu", "--python", sys.executable, "--config=config.py", "--result=results"]
    files = ["--%s/dataset_files=%r" % (params, [str(corpus / name)]) for params, name in (
        ("train_params/data_layer_params", "train.csv"), ("eval_params/data_layer_params", "dev.csv"))]
    files += ["--data_layer_params/vocab_file=%s" % (corpus / "vocab.txt"), "--npu_params/bucket_frames=[96, 160]"]

    def call(name, *words):
        return subprocess.run(["bash", script(name)] + options + list(words) + ["--"] + files, cwd=str(corpus), timeout=PATIENCE,
                              env=npu_server.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)

    trained = call("run_8p.sh", "--devices=6,7", "--rank_table", table)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    results = corpus / "results" / "8p"
    assert 6 in steps_of(results / "6" / "jasper_log_folder" / "logs") and trained.stdout.endswith("turing train success\n")
    for device in (6, 7):
        assert (results / ("train_%d.log" % device)).read_text().endswith("turing train success\n")
