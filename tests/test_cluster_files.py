"""Containers and Kubernetes: what docker_start.sh would run, and whether the manifests fit the programs that they start."""
import importlib.util
import json
import os
import re
import shlex
import stat
import subprocess
import types

import pytest

from tests.paths import REPOSITORY

SCRIPTS = os.path.join(REPOSITORY, "scripts")


def call(words, folder, environment):
    done = subprocess.run(["bash"] + words, cwd=str(folder), env=environment, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def docker(tmp_path):
    """Runs docker_start.sh with a docker that writes down its words."""
    stand_in = tmp_path / "bin" / "docker"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$DOCKER_WORDS"\nexit 7\n')
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    environment = dict(os.environ, PATH="%s:%s" % (tmp_path / "bin", os.environ["PATH"]), DOCKER_WORDS=str(tmp_path / "words"))

    def start(*words):
        done = call([os.path.join(SCRIPTS, "docker_start.sh")] + list(words), tmp_path, environment)
        done.words = (tmp_path / "words").read_text().splitlines() if (tmp_path / "words").exists() else None
        return done
    return start


HAS_NPU = os.path.exists("/dev/davinci_manager")


def test_docker_gets_devices_driver_and_folders(docker, tmp_path):
    (tmp_path / "my data").mkdir()
    done = docker("--image", "jasper-ascend", "--devices", "4,5", "--data", "my data", "--shm_size=16g", "--name", "one",
                  "--dry_run", "--", "bash", "scripts/run_8p.sh", "--devices", "4,5")
    assert done.status == 0 and done.words is None
    words = shlex.split(done.out)
    pairs = list(zip(words, words[1:]))
    devices = [value for name, value in pairs if name == "--device"]
    assert devices == ["/dev/davinci4", "/dev/davinci5", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc"]
    mounts = [value for name, value in pairs if name == "--volume"]
    assert mounts[:2] == ["%s:%s:rw" % (REPOSITORY, REPOSITORY), "%s:%s:ro" % (tmp_path / "my data", tmp_path / "my data")]
    assert "/usr/local/Ascend/driver:/usr/local/Ascend/driver:ro" in mounts
    for pair in (("--shm-size", "16g"), ("--name", "one"), ("--network", "host"), ("--workdir", REPOSITORY)):
        assert pair in pairs
    assert words[-5:] == ["jasper-ascend", "bash", "scripts/run_8p.sh", "--devices", "4,5"]


@pytest.mark.skipif(HAS_NPU, reason="this machine has an Ascend driver")
def test_docker_with_missing_devices_is_an_error(docker):
    refused = docker("--image", "jasper-ascend", "--devices", "0,1")
    assert refused.status == 4 and refused.words is None
    for name in ("/dev/davinci0", "/dev/davinci1", "/dev/davinci_manager", "/dev/devmm_svm", "/dev/hisi_hdc", "Ascend/driver"):
        assert name in refused.err
    none = docker("--image", "jasper-ascend")
    assert none.status == 4 and "no /dev/davinciN on this machine" in none.err and none.words is None


def test_docker_on_a_cpu_starts_without_devices_and_returns_its_status(docker):
    done = docker("--image=jasper-cpu", "--cpu", "--", "python", "run.py", "--x=a b")
    assert done.status == 7 and done.words[-4:] == ["jasper-cpu", "python", "run.py", "--x=a b"]
    assert done.words[0] == "run" and "--device" not in done.words


def test_docker_takes_the_arguments_of_the_modelzoo_scripts(docker, tmp_path):
    for name in ("data", "model"):
        (tmp_path / name).mkdir()
    options = ("--cpu", "--dry_run", "--", "bash", "-c", "true")
    given = docker("jasper:1", "data", "model", *options)
    assert given.status == 0 and shlex.split(given.out)[-4:] == ["jasper:1", "bash", "-c", "true"]
    assert given.out == docker("--image=jasper:1", "--data=data", "--result=model", *options).out
    # the clone is mounted in any case
    assert docker("jasper:1", "data", REPOSITORY, *options).out == docker("--image=jasper:1", "--data=data", *options).out


@pytest.mark.parametrize("words,status,message", [
    ([], 2, "--image is missing"),
    (["x", "data", "model", "bash"], 2, "unknown argument bash; expected at most IMAGE DATA MODEL"),
    (["--image", "x", "bash"], 2, "unknown argument bash; --image was given"),
    (["x", "nowhere", "model", "--cpu"], 3, "--data (DATA) nowhere: the folder does not exist"),
    (["--image", "x", "--devices", "0-3"], 2, "--devices 0-3: expected numbers separated by commas"),
    (["--image", "x", "--cpu", "--devices", "0"], 2, "exclude each other"),
    (["--image", "x", "--privileged"], 2, "unknown option"),
    (["--image", "x", "--cpu", "--data", "nowhere"], 3, "--data nowhere: the folder does not exist")])
def test_docker_with_wrong_options(docker, words, status, message):
    done = docker(*words)
    assert done.status == status and message in done.err and done.words is None


@pytest.mark.parametrize("script", ["slurm_train.sh", "docker_start.sh"])
def test_help(script, tmp_path):
    helped = call([os.path.join(SCRIPTS, script), "--help"], tmp_path, None)
    assert helped.status == 0 and helped.out.startswith("usage: ") and script in helped.out.splitlines()[0] and not helped.err


def dockerfile(name):
    with open(os.path.join(SCRIPTS, "docker", name)) as file:
        return re.sub(r"\\\n", " ", file.read())


def test_dockerfiles_copy_what_exists_and_leave_the_base_image_to_the_user():
    for name in ("Dockerfile", "Dockerfile.cpu"):
        text = dockerfile(name)
        assert re.search(r"^ARG BASE_IMAGE.*\nFROM \$\{BASE_IMAGE\}", text, re.MULTILINE)
        for line in re.findall(r"^COPY (.*)", text, re.MULTILINE):
            for source in line.split()[:-1]:
                assert "*" in source or os.path.exists(os.path.join(REPOSITORY, source)), source
        assert "--index-url" not in text and "://" not in text
    # an Ascend image is nobody's default, and its TensorFlow stays
    assert "ARG BASE_IMAGE\n" in dockerfile("Dockerfile") and "pip install --no-cache-dir --no-deps" in dockerfile("Dockerfile")


def test_entry_point_adds_the_drivers_libraries_and_runs_the_command(tmp_path):
    entry = os.path.join(SCRIPTS, "docker", "entrypoint.sh")
    show = 'echo "$LD_LIBRARY_PATH|$1"; exit 7'
    done = call([entry, "bash", "-c", show, "name", "a b"], tmp_path, dict(os.environ, LD_LIBRARY_PATH="/own"))
    assert done.status == 7
    libraries, word = done.out.splitlines()[-1].split("|")
    assert libraries.split(":")[0] == "/usr/local/Ascend/driver/lib64" and libraries.split(":")[-1] == "/own" and word == "a b"
    assert '"/opt/jasper/code/scripts/docker/entrypoint.sh"]' in dockerfile("Dockerfile")


def missing_requirements():
    pytest.importorskip("pkg_resources", reason="setuptools has none any more")
    path = os.path.join(SCRIPTS, "docker", "missing_requirements.py")
    specification = importlib.util.spec_from_file_location("missing_requirements", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_only_missing_packages_are_installed():
    lines = ["# a comment", "numpy==1.18.5 ; python_version >= '3'", "Rich==13.8.1", "soxr==0.3.7 ; python_version < '3'",
             "typing_extensions==4.7.1  # why", ""]
    assert missing_requirements().missing(lines, {"numpy"}) == ["Rich==13.8.1", "typing_extensions==4.7.1"]
    assert missing_requirements().missing(lines, {"numpy", "rich", "typing-extensions"}) == []


def manifests(name):
    yaml = pytest.importorskip("yaml", reason="PyYAML comes with Horovod: scripts/setup.sh --distributed")
    with open(os.path.join(SCRIPTS, "kubernetes", name)) as file:
        return list(yaml.safe_load_all(file))


def flags(words):
    return dict(word[2:].split("=", 1) for word in words if word.startswith("--") and "=" in word)


def test_mpijob_starts_one_process_for_each_slot():
    job, = manifests("horovod_mpijob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    replicas = job["spec"]["mpiReplicaSpecs"]
    launcher, = replicas["Launcher"]["template"]["spec"]["containers"]
    worker, = replicas["Worker"]["template"]["spec"]["containers"]
    words = launcher["command"] + launcher["args"]
    assert words[:2] == ["horovodrun", "--gloo"]
    assert int(words[words.index("-np") + 1]) == replicas["Worker"]["replicas"] * job["spec"]["slotsPerWorker"]
    assert words[words.index("--hostfile") + 1] == "/etc/mpi/hostfile"
    assert worker["command"] + worker["args"] == ["/usr/sbin/sshd", "-De"]
    assert worker["image"] == launcher["image"] and worker["workingDir"] == launcher["workingDir"]
    # only with these equal and whole are the cores the pod's own
    assert worker["resources"]["requests"] == worker["resources"]["limits"]
    run = flags(words[words.index("run.py"):])
    assert os.path.exists(os.path.join(REPOSITORY, run["config_file"])) and run["mode"] == "train_eval"
    mounts = {mount["name"]: mount["mountPath"] for mount in worker["volumeMounts"]}
    volumes = {volume["name"] for volume in replicas["Worker"]["template"]["spec"]["volumes"]}
    assert set(mounts) == volumes and run["logdir"].startswith(mounts["result"] + "/")


def test_volcano_job_waits_for_its_config_map_and_launches_its_ranks():
    table, job = manifests("ascend_volcano_job.yaml")
    assert table["kind"] == "ConfigMap" and json.loads(table["data"]["hccl.json"]) == {"status": "initializing"}
    assert (job["apiVersion"], job["kind"]) == ("batch.volcano.sh/v1alpha1", "Job")
    assert table["metadata"]["name"] == "rings-config-" + job["metadata"]["name"]
    assert table["metadata"]["namespace"] == job["metadata"]["namespace"]
    task, = job["spec"]["tasks"]
    pod = task["template"]["spec"]
    for labels in (table["metadata"]["labels"], job["metadata"]["labels"], task["template"]["metadata"]["labels"]):
        assert labels["ring-controller.atlas"] == "ascend-910"
    assert job["spec"]["minAvailable"] == task["replicas"] and job["spec"]["schedulerName"] == "volcano"
    container, = pod["containers"]
    assert container["resources"]["requests"] == container["resources"]["limits"] == {"huawei.com/Ascend910": 8}
    variables = {variable["name"]: variable for variable in container["env"]}
    assert variables["XDL_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.hostIP"
    # one pod a node: a table of version 1.0 does not say which devices belong to which pod
    rule, = pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == set(volumes)
    assert volumes["rank-table"]["configMap"]["name"] == table["metadata"]["name"]
    assert mounts["rank-table"] == "/user/serverid/devindex/config"


def test_volcano_jobs_command_is_valid_for_both_programs():
    from open_seq2seq.experiment.command_line import parse_command_line
    from open_seq2seq.launch.launch_options import parse_options
    from open_seq2seq.rank_tables.config_map import Place, with_values
    _, job = manifests("ascend_volcano_job.yaml")
    container, = job["spec"]["tasks"][0]["template"]["spec"]["containers"]
    # a command would take the place of the image's entry point
    words = container["args"]
    assert "command" not in container and words[:3] == ["python3", "-m", "open_seq2seq.rank_tables.config_map"]
    launch = words[words.index("--") + 1:]
    assert launch[:3] == ["python3", "-m", "open_seq2seq.launch"]
    place = Place("10.0.0.1", list(range(8)), 0, 16)
    options = parse_options(with_values(launch[3:], "/tmp/t.json", place))
    assert (options.device, options.rank_table, options.server) == ("npu", "/tmp/t.json", "10.0.0.1")
    assert "{rank}" in options.log and options.verdict == "turing train"
    assert options.command[:2] == ["python3", "run.py"]
    arguments, _ = parse_command_line(options.command[2:])
    assert (arguments.device, arguments.mode) == ("npu", "train_eval")
    assert arguments.continue_learning and arguments.no_dir_check
    assert os.path.exists(os.path.join(REPOSITORY, arguments.config_file))
