"""How long a checkpoint stalls training: saved as in a run, by tf.train.Saver, and the time of the disk itself.

    python benchmarks/checkpointing.py --model mini

The three take turns under the same load of the machine. In a turn some steps are made after the checkpoint. ``stall`` is the time
of the call, after which the next step can begin. ``in all`` is how much longer the checkpoint and these steps take together than
the steps alone, with the cost of the thread that writes during the steps. ``disk`` writes the same number of bytes at once and
waits until they are on the disk. All times are also given in steps, and the stall as a share of the training time at the interval
of the config.
"""
import argparse
import json
import os
import statistics
import tempfile
import time
import types

import network
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import SavedState
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.training.metric_tracker import NO_BEST
from open_seq2seq.training.saving import Saving

STEPS_A_TURN = 3  # they take longer than the thread writes
INTERVAL = 500  # steps between checkpoints in configs/speech2text/jasper_mini_digits.py


class Trainer:
    """A network that trains, and three ways to save it.

    Args:
      case: a ``network.Case``.
      folder: where checkpoints go.
    """

    def __init__(self, case, folder):
        self._built = network.build(case, "train", Cpu().session_config(), fast_gradients=True)
        self.session, self._folder, self._saved = self._built.session, folder, 0
        self._default = self.session.graph.as_default()
        self._default.__enter__()
        state = SavedState(micro_batches=0, best_loss=NO_BEST, best_wer=NO_BEST)
        graph = types.SimpleNamespace(
            state=state, average_statistics=tf.no_op(), last_step=10 ** 9,
            epochs_done=lambda step: step // 100,
            data_layer=types.SimpleNamespace(vocabulary=types.SimpleNamespace(characters=tuple("abc"))))
        params = {"num_checkpoints": 2, "save_checkpoint_secs": None, "best_metric": "loss"}
        self._saving = Saving(params, graph, RunDirectory(os.path.join(folder, "run")), writes=True)
        self._saver = tf.train.Saver(max_to_keep=2)
        os.makedirs(os.path.join(folder, "saver"))
        self.bytes = sum(variable.shape.num_elements() * variable.dtype.size for variable in tf.global_variables())

    def step(self):
        self.session.run(self._built.fetches)

    def save(self):
        self._saved += 1
        self._saving.save(self.session, self._saved, {"micro_batches": self._saved})

    def wait(self):
        self._saving.wait()

    def save_with_tensorflow(self):
        self._saved += 1
        self._saver.save(self.session, os.path.join(self._folder, "saver", "model.ckpt"), self._saved, write_meta_graph=False)

    def write_bytes(self):
        with open(os.path.join(self._folder, "bytes"), "wb", buffering=0) as file:
            file.write(b"x" * self.bytes)
            os.fsync(file.fileno())

    def close(self):
        self._saving.close()
        self.session.close()
        self._default.__exit__(None, None, None)


def measure(trainer, seconds):
    """Dict of way -> list of (stall, stall and steps) in seconds, one for each turn; "steps" has no checkpoint."""
    ways = [("steps", lambda: None), ("run", trainer.save), ("Saver", trainer.save_with_tensorflow),
            ("disk", trainer.write_bytes)]
    turns, deadline = {name: [] for name, _ in ways}, time.monotonic() + seconds
    for _, save in ways:
        save()
    trainer.step()
    trainer.wait()
    while time.monotonic() < deadline or len(turns["steps"]) < 3:
        for name, save in ways:
            start = time.perf_counter()
            save()
            stall = time.perf_counter() - start
            for _ in range(STEPS_A_TURN):
                trainer.step()
            turns[name].append((stall, time.perf_counter() - start))
            # the thread of a turn must not write during the next one
            trainer.wait()
    return turns


def report(name, trainer, turns):
    """Prints a table, and the same numbers as one JSON object."""
    step = statistics.median(whole for _, whole in turns["steps"]) / STEPS_A_TURN
    print("%s: %.1f MB per checkpoint, %.0f ms per step, %d turns" % (name, trainer.bytes / 1e6, 1e3 * step, len(turns["steps"])))
    print("%-6s %10s %9s %12s %9s %22s" % ("", "stall", "of a step", "in all", "of a step", "stall, every %d steps" % INTERVAL))
    results = {}
    for way in ("run", "Saver", "disk"):
        stall = statistics.median(stall for stall, _ in turns[way])
        in_all = statistics.median(whole for _, whole in turns[way]) - step * STEPS_A_TURN
        results[way] = {"stall_seconds": stall, "stall_steps": stall / step, "in_all_seconds": in_all,
                        "in_all_steps": in_all / step, "share_at_interval": stall / step / INTERVAL}
        print("%-6s %7.1f ms %7.1f %% %9.1f ms %7.1f %% %20.4f %%" % (
            way, 1e3 * stall, 100 * stall / step, 1e3 * in_all, 100 * in_all / step, 100 * stall / step / INTERVAL))
    print(json.dumps({"model": name, "bytes": trainer.bytes, "step_seconds": step, "ways": results}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=60.0)
    parser.set_defaults(model="mini")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jasper-checkpointing-", dir=".") as folder:
        trainer = Trainer(network.case_of(arguments), folder)
        turns = measure(trainer, arguments.seconds)
        trainer.close()
    report(arguments.model, trainer, turns)


if __name__ == "__main__":
    main()
