"""slurm_train.sh in a Slurm job of two nodes, 127.0.0.1 and 127.0.0.2; replacements for srun and scontrol run the tasks here."""
import os
import shlex
import signal
import stat
import subprocess
import sys
import types

import pytest

from open_seq2seq.rank_tables.rank_table import read_rank_table
from tests.paths import REPOSITORY

SCRIPT = os.path.join(REPOSITORY, "scripts", "slurm_train.sh")
JOB = 70007 + os.getpid()  # its port depends on it
CONFIG = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")

# tasks of one srun run here at the same time; when one fails the others are killed, as with --kill-on-bad-exit
SRUN = '''#!%s
import os, subprocess, sys, time
words = sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    calls.write("srun " + " ".join(words) + chr(10))
count = int([word for word in words if word.startswith("--nodes=")][0][8:])
while words[0].startswith("-"):
    words.pop(0)
tasks = [subprocess.Popen(words, env=dict(os.environ, SLURM_NODEID=str(node), SLURMD_NODENAME="127.0.0.%%d" %% (node + 1)))
         for node in range(count)]
while None in [task.poll() for task in tasks] and not any(task.returncode for task in tasks):
    time.sleep(0.05)
failed = [task.returncode for task in tasks if task.returncode]
for task in tasks:
    if failed:
        task.terminate()
    task.wait()
sys.exit(abs(failed[0]) if failed else 0)
''' % sys.executable


def write(path, text, executable=True):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def slurm(tmp_path):
    """Runs slurm_train.sh in a job of two nodes, 127.0.0.1 and 127.0.0.2."""
    write(tmp_path / "bin" / "srun", SRUN)
    write(tmp_path / "bin" / "scontrol", '#!/bin/sh\n[ "$*" = "show hostnames n[1-2]" ] && printf "127.0.0.1\\n127.0.0.2\\n"\n')
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM", "HOROVOD", "RANK"))}
    environment.update(PATH="%s:%s" % (tmp_path / "bin", os.environ["PATH"]), CALLS=str(tmp_path / "calls"),
                       SLURM_JOB_ID=str(JOB), SLURM_JOB_NODELIST="n[1-2]", SLURM_CPUS_ON_NODE="64", SLURM_GPUS_ON_NODE="4")

    def submit(*words, script=SCRIPT, python=sys.executable, wait=True, **variables):
        merged = {name: value for name, value in dict(environment, **variables).items() if value is not None}
        command = ["bash", script, "--python", python, "--result", str(tmp_path / "result")] + list(words)
        options = dict(cwd=str(tmp_path), env=merged, text=True, stdin=subprocess.DEVNULL)
        if not wait:
            return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        done = subprocess.run(command, capture_output=True, timeout=300, **options)
        return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)
    return submit


def test_starts_a_launcher_on_every_node_with_one_rendezvous(slurm, tmp_path):
    done = slurm("--device", "gpu", "--config_file", CONFIG, "--dry_run", "--", "--max_steps=5")
    assert done.status == 0, done.err
    made, line = done.out.splitlines()
    assert shlex.split(made) == ["mkdir", "-p", str(tmp_path / "result")]
    words = shlex.split(line)
    assert words[:7] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=64", "--cpu-bind=none",
                         "--kill-on-bad-exit=1"]
    assert words[7:9] == ["bash", "-c"] and '-m open_seq2seq.launch --server "$SLURM_NODEID"' in words[9]
    launch, run = words[11:words.index("--")], words[words.index("--") + 1:]
    assert launch == [sys.executable, "--device", "gpu", "--log", str(tmp_path / "result" / "train_{rank}.log"), "--verdict",
                      "turing train", "--servers", "127.0.0.1:4,127.0.0.2:4", "--port", str(12000 + JOB % 20000)]
    assert run == [sys.executable, "run.py", "--config_file=" + CONFIG, "--mode=train_eval", "--device=gpu", "--enable_logs",
                   "--continue_learning", "--no_dir_check", "--logdir=%s" % (tmp_path / "result" / "jasper_log_folder"),
                   "--max_steps=5"]
    assert not (tmp_path / "result").exists() and not (tmp_path / "calls").exists()


def test_a_config_without_eval_params_is_trained_without_evaluations(slurm, tmp_path):
    with open(CONFIG) as file:
        write(tmp_path / "own.py", file.read().partition("\neval_params")[0], executable=False)
    for words, modes in (((), ["--mode=train"]), (("--dev_files=dev.csv",), ["--mode=train_eval"])):
        done = slurm("--device", "cpu", "--config_file", "own.py", "--dry_run", "--", *words)
        assert done.status == 0, done.err
        started = shlex.split(done.out.splitlines()[-1])
        assert [word for word in started if word.startswith("--mode")] == modes
        assert ("has no eval_params: training without evaluations (--mode=train)" in done.out) == (not words)


def test_on_npus_makes_the_rank_table_first(slurm, tmp_path):
    done = slurm("--device", "npu", "--config_file", CONFIG, "--dry_run")
    assert done.status == 0, done.err
    folder = str(tmp_path / "result" / ("rank_table_%d" % JOB))
    _, _, tables, merged, train = (shlex.split(line) for line in done.out.splitlines())
    assert tables[7:9] == ["bash", "-c"] and tables[11:] == [
        folder, sys.executable, "scripts/make_rank_table.py", "--devices", "0,1,2,3,4,5,6,7"]
    assert '--server_id "$SLURMD_NODENAME" --output "$folder/$SLURM_NODEID.json"' in tables[9]
    assert merged == [sys.executable, "scripts/make_rank_table.py", "--merge", folder + "/0.json", folder + "/1.json",
                      "--output", folder + "/rank_table.json"]
    launch = train[11:train.index("--")]
    assert launch[-2:] == ["--rank_table", folder + "/rank_table.json"] and "--servers" not in launch


def test_uses_the_given_rank_table_and_options_of_srun(slurm):
    done = slurm("--device=npu", "--config_file", CONFIG, "--rank_table", "/shared/16p.json", "--srun_options", "--mpi=none -v",
                 "--dry_run")
    _, train = done.out.splitlines()
    assert shlex.split(train)[7:11] == ["--mpi=none", "-v", "bash", "-c"] and "--rank_table /shared/16p.json --" in train
    assert "make_rank_table" not in done.out


# the real make_rank_table.py, with a file of addresses for each node; what it would launch is written down
NPU_PYTHON = '''#!%s
import os, sys
words = [word.replace("hccn.conf", "hccn%%s.conf" %% os.environ.get("SLURM_NODEID", "")) for word in sys.argv[1:]]
if "open_seq2seq.launch" in words:
    with open(os.environ["CALLS"], "a") as calls:
        calls.write("node %%s: %%s" %% (os.environ["SLURM_NODEID"], " ".join(words)) + chr(10))
else:
    os.execv(sys.executable, [sys.executable] + words)
''' % sys.executable


def test_rank_table_holds_the_devices_of_all_nodes(slurm, tmp_path):
    write(tmp_path / "npu_python", NPU_PYTHON)
    for node in (0, 1):
        addresses = "".join("address_%d=192.168.%d.10%d\n" % (device, device, node) for device in range(8))
        write(tmp_path / ("hccn%d.conf" % node), addresses, executable=False)
    done = slurm("--device", "npu", "--processes", "2", "--config_file", CONFIG, "--hccn_conf", str(tmp_path / "hccn.conf"),
                 python=str(tmp_path / "npu_python"))
    assert done.status == 0, done.err
    path = tmp_path / "result" / ("rank_table_%d" % JOB) / "rank_table.json"
    table = read_rank_table(str(path))
    assert [device[:4] for device in table.devices] == [
        (0, "127.0.0.1", 0, "192.168.0.100"), (1, "127.0.0.1", 1, "192.168.1.100"),
        (2, "127.0.0.2", 0, "192.168.0.101"), (3, "127.0.0.2", 1, "192.168.1.101")]
    calls = (tmp_path / "calls").read_text()
    for node in (0, 1):
        assert "node %d: -m open_seq2seq.launch --server %d --device npu" % (node, node) in calls
        assert "--rank_table %s -- " % path in calls


def test_nothing_is_launched_when_a_node_has_no_addresses(slurm, tmp_path):
    write(tmp_path / "npu_python", NPU_PYTHON)
    write(tmp_path / "hccn0.conf", "address_0=192.168.0.100\naddress_1=192.168.1.100\n", executable=False)
    done = slurm("--device", "npu", "--processes", "2", "--config_file", CONFIG, "--hccn_conf", str(tmp_path / "hccn.conf"),
                 python=str(tmp_path / "npu_python"))
    assert done.status != 0 and "hccn1.conf" in done.err
    assert "open_seq2seq.launch" not in (tmp_path / "calls").read_text()


@pytest.mark.parametrize("words,status,message", [
    ([], 2, "--device is missing: expected cpu, gpu or npu"),
    (["--device", "tpu"], 2, "--device tpu: expected cpu, gpu or npu"),
    (["--device", "cpu"], 2, "--config_file is missing"),
    (["--device", "cpu", "--config_file", "no.py"], 2, "no.py does not exist"),
    (["--device", "cpu", "--config_file", CONFIG, "--processes", "0"], 2, "--processes 0: expected a whole number above 0"),
    (["--device", "npu", "--config_file", CONFIG, "--port", "5"], 2, "--port is for CPUs and GPUs"),
    (["--device", "cpu", "--config_file", CONFIG, "--rank_table", "t.json"], 2, "--rank_table and --hccn_conf are for NPUs"),
    (["--device", "cpu", "--config_file", CONFIG, "--max_steps=5"], 2,
     "unknown option --max_steps=5 (arguments for run.py go after --)"),
])
def test_wrong_options(slurm, words, status, message):
    done = slurm(*words)
    assert done.status == status and message in done.err and done.out == ""


def test_an_environment_file_is_sourced_for_all_nodes(slurm, tmp_path):
    write(tmp_path / "set_env.sh", "echo sourced $UNSET_NAME\n", executable=False)
    words = ["--device", "npu", "--config_file", CONFIG, "--dry_run"]
    done = slurm(*words, "--environment", str(tmp_path / "set_env.sh"))
    assert done.status == 0 and "sourced" in done.out.splitlines()
    missing = slurm(*words, "--environment=none.sh")
    assert missing.status == 2 and "--environment none.sh does not exist" in missing.err


def test_outside_a_job_is_an_error(slurm):
    done = slurm("--device", "cpu", "--config_file", CONFIG, SLURM_JOB_ID=None)
    assert done.status == 4 and "this is not a Slurm job" in done.err


def test_a_node_without_gpus_is_an_error(slurm):
    done = slurm("--device", "gpu", "--config_file", CONFIG, SLURM_GPUS_ON_NODE=None)
    assert done.status == 2 and "SLURM_GPUS_ON_NODE is not a number of GPUs" in done.err


def test_finds_the_clone_when_sbatch_runs_a_copy_of_the_script(slurm, tmp_path):
    copy = tmp_path / "spool" / "slurm_script"
    with open(SCRIPT) as script:
        write(copy, script.read())
    words = ["--device", "cpu", "--config_file", CONFIG, "--dry_run"]
    found = slurm(*words, script=str(copy), SLURM_SUBMIT_DIR=REPOSITORY)
    assert found.status == 0 and "open_seq2seq.launch" in found.out
    lost = slurm(*words, script=str(copy), SLURM_SUBMIT_DIR=str(tmp_path))
    assert lost.status == 2 and "run sbatch in the clone" in lost.err


def test_a_first_node_with_a_loopback_address_is_an_error(slurm, tmp_path):
    write(tmp_path / "bin" / "scontrol", "#!/bin/sh\nprintf 'localhost\\nelsewhere\\n'\n")
    done = slurm("--device", "cpu", "--config_file", CONFIG, "--dry_run")
    assert done.status == 4 and "the first node, localhost, resolves its own name to 127." in done.err


def require_horovod():
    try:
        import horovod.tensorflow  # noqa: F401
    except ImportError:
        if os.environ.get("CI"):
            raise
        pytest.skip("Horovod is not built: scripts/setup.sh --distributed")


@pytest.mark.slow
def test_two_nodes_train_one_model_and_a_second_job_resumes(slurm, corpus):
    require_horovod()
    words = ["--device", "cpu", "--config_file", str(corpus / "config.py"), "--"]
    data = ["--data_layer_params/vocab_file=%s" % (corpus / "vocab.txt"),
            "--train_params/data_layer_params/dataset_files=%r" % [str(corpus / "train.csv")],
            "--eval_params/data_layer_params/dataset_files=%r" % [str(corpus / "dev.csv")]]
    done = slurm(*words, *data)
    assert done.status == 0, done.out + done.err
    result = corpus / "result"
    assert (result / "jasper_log_folder" / "logs" / "model.ckpt-6.index").exists()
    logs = [(result / ("train_%d.log" % rank)).read_text() for rank in (0, 1)]
    assert all(log.splitlines()[-1] == "turing train success" for log in logs)
    assert "Validation WER" in logs[0] and "Validation WER" not in logs[1]

    more = slurm(*words, *data, "--max_steps=8")
    assert more.status == 0, more.out + more.err
    assert (result / "jasper_log_folder" / "logs" / "model.ckpt-8.index").exists()
    assert "Restored" in (result / "train_0.log").read_text()


@pytest.mark.slow
def test_a_node_that_fails_fails_the_job(slurm, corpus):
    require_horovod()
    done = slurm("--device", "cpu", "--config_file", str(corpus / "config.py"), "--", "--data_layer_params/vocab_file=none.txt")
    assert done.status == 3 and "none.txt" in done.out + done.err
    assert (corpus / "result" / "train_0.log").read_text().splitlines()[-1] == "turing train fail"


# stands for srun: says that it is there, passes the first signal on to nobody but notes it, and ends with a status of its own
NOTING_SRUN = """#!%s
import os, signal, sys
def note(number, frame):
    with open(os.environ["CALLS"], "a") as calls:
        calls.write(signal.Signals(number).name + chr(10))
    if number == signal.SIGTERM:
        sys.exit(143)
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, note)
print("srun is ready", os.environ["JASPER_RESUME_COMMAND"], flush=True)
while True:
    signal.pause()
""" % sys.executable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_are_forwarded_to_srun_and_its_status_is_returned(slurm, tmp_path, number):
    write(tmp_path / "bin" / "srun", NOTING_SRUN)
    job = slurm("--device", "cpu", "--config_file", CONFIG, "--", "--max_steps=5", wait=False)
    try:
        assert job.stdout.readline() == (
            "srun is ready sbatch [its options] scripts/slurm_train.sh --python %s --result %s --device cpu --config_file %s -- "
            "--max_steps=5\n" % (sys.executable, tmp_path / "result", CONFIG))
        job.send_signal(signal.SIGUSR1)
        calls = tmp_path / "calls"
        while not calls.exists() or calls.read_text() != "SIGUSR1\n":  # else the second signal could interrupt the first handler
            assert job.poll() is None
        job.send_signal(number)
        out, err = job.communicate(timeout=60)
    finally:
        job.kill()
    assert job.returncode == 143, err
    assert (tmp_path / "calls").read_text() == "SIGUSR1\nSIGTERM\n" and "success" not in out
