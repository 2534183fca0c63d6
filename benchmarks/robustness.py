"""Word error rates of a trained run on evaluation data that is prepared in many ways, compared with those of another run.

    python benchmarks/robustness.py --config_file=FILE --logdir=runs/a
    python benchmarks/robustness.py --config_file=FILE --logdir=runs/a --other=runs/b [--other_config=FILE]

Each run is measured by ``run.py --mode=robustness --device=cpu``; ``--measured`` takes the robustness.json that an earlier
measurement has left instead. The ratio is the WER of the run by that of the other one; a preparation is marked with + or - where
the run is better or worse and their 95 % intervals do not overlap. Other --key=value arguments go to run.py, e.g.
--eval_params/data_layer_params/dataset_files=test.csv or --preparations=unchanged,room.
"""
import argparse
import json
import os
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.evaluation.robustness_results import FILE_NAME, SELECTED_FILE_NAME, read_robustness  # noqa: E402


def results_of(logdir, config_file, others, is_measured):
    """What ``--mode=robustness`` finds of a run: dict, see ``read_robustness``."""
    name = SELECTED_FILE_NAME if any(word.startswith("--preparations") for word in others) else FILE_NAME
    has_logs = os.path.isdir(os.path.join(logdir, "logs"))
    if not is_measured:
        command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=" + config_file, "--logdir=" + logdir,
                   "--mode=robustness", "--device=cpu"] + ["--enable_logs"] * has_logs + others
        subprocess.run(command, check=True)
    path = os.path.join(logdir, "logs" if has_logs else "", name)
    results = read_robustness(path)
    if results is None:
        raise SystemExit("there is no %s; measure without --measured" % path)
    return results


def rows_of(results, other):
    """A dict for each preparation: name, WER and interval, and those of the other run with the ratio if it was measured."""
    known = {entry["preparation"]: entry for entry in other["preparations"]} if other is not None else {}
    rows = []
    for entry in results["preparations"]:
        row = {key: entry[key] for key in ("preparation", "wer", "low", "high")}
        compared = known.get(entry["preparation"])
        if compared is not None:
            row.update(other_wer=compared["wer"], other_low=compared["low"], other_high=compared["high"],
                       ratio=entry["wer"] / compared["wer"] if compared["wer"] > 0 else None,
                       better=entry["high"] < compared["low"], worse=entry["low"] > compared["high"])
        rows.append(row)
    return rows


def mean_row(rows):
    """The row of the mean over the preparations that both runs have (those of the run, if there is no other one)."""
    used = [row for row in rows if "other_wer" in row] or rows
    mean = {"preparation": "mean", "wer": sum(row["wer"] for row in used) / len(used)}
    if "other_wer" in used[0]:
        mean["other_wer"] = sum(row["other_wer"] for row in used) / len(used)
        mean["ratio"] = mean["wer"] / mean["other_wer"] if mean["other_wer"] > 0 else None
    return mean


def line_of(row):
    line = "%-18s %7.2f %%  %-18s" % (row["preparation"], 100 * row["wer"], "%.2f to %.2f" % (
        100 * row["low"], 100 * row["high"]) if "low" in row else "")
    if "other_wer" in row:
        line += " %7.2f %%  %7s %s" % (100 * row["other_wer"], "" if row["ratio"] is None else "%.2f" % row["ratio"],
                                      "+" if row.get("better") else "-" if row.get("worse") else "")
    return line.rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config_file", required=True, help="the run's config")
    parser.add_argument("--logdir", required=True, help="the run")
    parser.add_argument("--other", help="the logdir of the run to compare with")
    parser.add_argument("--other_config", help="its config (default: that of the run)")
    parser.add_argument("--measured", action="store_true", help="use the results that earlier measurements have left")
    arguments, others = parser.parse_known_args()
    results, other = results_of(arguments.logdir, arguments.config_file, others, arguments.measured), None
    if arguments.other is not None:
        other = results_of(arguments.other, arguments.other_config or arguments.config_file, others, arguments.measured)
        if other["data_set"] != results["data_set"]:
            raise SystemExit("the runs were measured on different data: %s and %s" % (results["data_set"], other["data_set"]))
    rows = rows_of(results, other)
    rows.append(mean_row(rows))
    print("%s of %s on %s%s" % (results["checkpoint"], arguments.logdir, results["data_set"], "" if other is None else
                                ", compared with %s of %s" % (other["checkpoint"], arguments.other)))
    print("%-18s %9s  %-18s%s" % ("preparation", "WER", "95 % interval",
                                  "" if other is None else " %9s  %7s" % ("other", "ratio")))
    for row in rows:
        print(line_of(row))
    print("worst: %s%s" % (results["worst"], "" if other is None else "; of the other run: %s" % other["worst"]))
    print(json.dumps({"title": "robustness", "logdir": arguments.logdir, "other": arguments.other,
                      "data_set": results["data_set"], "worst": results["worst"], "rows": rows}))


if __name__ == "__main__":
    main()
