"""Speed and word error rate of a training by two jobs that are averaged, against one job on one core.

    python benchmarks/parallel_training.py --data corpus --work /tmp/parallel           # speed, about 4 minutes of 2 cores
    python benchmarks/parallel_training.py --data corpus --work /tmp/parallel --steps 7000 --only wer

Speed: utterances/s of iterations in which all processes do jobs, that is without their start. "wall" is the throughput by the
clock; "cpu" is what the processor time of the busiest process allows, which a machine with other work on it shows as well. The
one job runs on one core (affinity and threads).

WER: dev after the same number of utterances, in one process without jobs and by two jobs with half the batch size, twice the
steps and the same learning rate, so that an average has been trained on as much as a step of the one process. The result of jobs
does not depend on the number of processes, so one process does both.
"""
import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time

BATCH, WARMUP, POOL = 16, 100, 16     # of jasper_mini_digits.py
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
JOBS = 2


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config_file", default=os.path.join(ROOT, "configs/speech2text/jasper_mini_digits.py"))
    parser.add_argument("--data", required=True, help="JASPER_DATA of the config")
    parser.add_argument("--work", required=True, help="folder for the runs")
    parser.add_argument("--archive_steps", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=4, help="iterations to measure")
    parser.add_argument("--steps", type=int, default=7000, help="steps of one process in the comparison of WER")
    parser.add_argument("--only", choices=("speed", "wer"))
    parser.add_argument("--runs", type=int, default=1, help="measurements of the speed, one job and two in turn")
    parser.add_argument("--limit", action="store_true", help="also measure two independent trainings at the same time")
    return parser.parse_args()


def command(options, logdir, mode, steps, parallel, *others):
    words = [sys.executable, os.path.join(ROOT, "run.py"), "--config_file=" + options.config_file, "--mode=" + mode,
             "--logdir=" + logdir, "--device=cpu", "--max_steps=%d" % steps, "--save_summaries_steps=None",
             "--print_samples_steps=None", "--diagnostics_utterances=0", "--no_dir_check"] + list(others)
    if parallel is not None:
        words.append("--parallel_training=%r" % dict({"archive_steps": options.archive_steps}, **parallel))
    return words


def cpu_seconds(process):
    """User and system time of a process, finished threads included."""
    with open("/proc/%d/stat" % process) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(process):
    with open("/proc/%d/task/%d/children" % (process, process)) as file:
        return [int(child) for child in file.read().split()]


def iterations(logdir):
    """(step, time, utterances/s) of each iteration that is over."""
    try:
        with open(os.path.join(logdir, "metrics.jsonl")) as file:
            lines = [json.loads(line) for line in file if line.endswith("\n")]
    except FileNotFoundError:
        return []
    return [(line["step"], line["time"]) for line in lines if line["kind"] == "step"]


def workers_busy(logdir, count):
    """Whether the other processes have done a job each."""
    for number in range(1, count):
        path = os.path.join(logdir, "worker_%d.log" % number)
        if not os.path.isfile(path) or "job" not in open(path).read().partition("Waiting for jobs")[2]:
            return False
    return True


def speed(options, count, name, first_core=0):
    """Utterances/s of ``count`` jobs in as many processes on as many cores: dict of wall and cpu."""
    logdir, batch = os.path.join(options.work, "speed_" + name), BATCH
    steps = options.archive_steps * count * (options.iterations + 40)
    words = command(options, logdir, "train", steps, {"jobs_initial": count, "jobs_final": count, "processes": count},
                    "--try_worst_batch=False", "--batch_size_per_gpu=%d" % batch)
    environment = dict(os.environ, JASPER_DATA=options.data, JASPER_CORES=str(count))
    cores = sorted(os.sched_getaffinity(0))[first_core:first_core + count]
    with open(os.path.join(options.work, "speed.log"), "ab") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log,
                                   preexec_fn=lambda: os.sched_setaffinity(0, cores))
    try:
        first = begun = None
        while True:
            assert process.poll() is None, "the training failed; see speed.log"
            done = iterations(logdir)
            if first is None and done and workers_busy(logdir, count):
                first = len(done) + 1         # the current iteration may have begun without them
            if first is not None and begun is None and len(done) >= first:
                processes = [process.pid] + children(process.pid)
                begun = done[first - 1], [cpu_seconds(one) for one in processes]
            if begun is not None and len(done) >= first + options.iterations:
                last, used = done[first + options.iterations - 1], [cpu_seconds(one) for one in processes]
                break
            time.sleep(0.05)
    finally:
        process.terminate()
        process.wait()
    utterances = (last[0] - begun[0][0]) * batch
    busiest = max(after - before for after, before in zip(used, begun[1]))
    return {"wall": utterances / (last[1] - begun[0][1]), "cpu": utterances / busiest}


def independent(options, name):
    """Utterances/s of two trainings of one job each at the same time, a core each: the machine's limit."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        found = list(pool.map(lambda core: speed(options, 1, "%s_%d" % (name, core), core), range(JOBS)))
    return {kind: sum(one[kind] for one in found) for kind in found[0]}


def word_error_rate(options, parallel, name, parts=1):
    """Dev WER after all steps, with batches divided by ``parts``."""
    logdir, steps = os.path.join(options.work, name), options.steps * parts
    words = command(options, logdir, "train_eval", steps, parallel, "--eval_steps=%d" % max(1, steps // 4),
                    "--save_checkpoint_steps=%d" % steps, "--batch_size_per_gpu=%d" % (BATCH // parts),
                    "--eval_batch_size_per_gpu=%d" % BATCH, "--lr_policy_params/warmup_steps=%d" % (WARMUP * parts),
                    "--train_params/data_layer_params/length_pool=%d" % (POOL * parts))
    with open(os.path.join(options.work, name + ".log"), "wb") as log:
        subprocess.run(words, check=True, stdout=log, stderr=log, env=dict(os.environ, JASPER_DATA=options.data))
    with open(os.path.join(logdir, "metrics.jsonl")) as file:
        lines = [json.loads(line) for line in file]
    return [line["word_error_rate"] for line in lines if line["kind"] == "evaluation"][-1]


def main():
    options = arguments()
    os.makedirs(options.work, exist_ok=True)
    figures = []
    if options.only != "wer":
        for number in range(options.runs):
            one, two = (speed(options, count, "%d_%d" % (count, number)) for count in (1, JOBS))
            limit = independent(options, "limit_%d" % number) if options.limit else None
            for kind in ("wall", "cpu"):
                print("%s: one job %.1f utterances/s, %d jobs %.1f utterances/s, ratio %.2f%s" % (
                    kind, one[kind], JOBS, two[kind], two[kind] / one[kind], "" if limit is None else
                    ", two independent trainings %.2f" % (limit[kind] / one[kind])), flush=True)
            figures.append({"one job": one, "two jobs": two, "independent": limit})
    if options.only != "speed":
        alone = word_error_rate(options, None, "alone")
        jobs = word_error_rate(options, {"jobs_initial": JOBS, "jobs_final": JOBS, "processes": 1, "scale_learning_rate": False},
                               "jobs", JOBS)
        print("WER after the utterances of %d steps: one process %.2f %%, %d jobs %.2f %%, ratio %.2f" % (
            options.steps, 100 * alone, JOBS, 100 * jobs, jobs / alone))
        figures.append({"WER of one process": alone, "WER of jobs": jobs})
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
