"""Two trainings, an evaluation and an export start at random moments in one directory, again and again; none may lose anything.

    python benchmarks/shared_directory.py --minutes 10

The trainings resume from the same checkpoints and save every second step; only two checkpoints are kept, so those that are being
read are deleted all the time. A training ends after some steps, by SIGTERM or by SIGKILL. Whichever starts while the other one
is running has to be refused; an evaluation or an export has to succeed. After every end the newest checkpoint has to be valid and
not older than the last one that was saved, and a step that is made again has to have the same loss.

Prints counts, and exits with 1 if a checkpoint was lost, a command ended with a traceback or with another status than expected.
"""
import argparse
import collections
import json
import os
import random
import re
import signal
import sys
import tempfile
import time

from kill_resume import LAYERS, Training, numbers, training_runs
from noise_corpus import CONFIG, REPOSITORY, VOCABULARY, write_corpus

sys.path.insert(0, REPOSITORY)

REFUSED = "is in use by a training that is running"
POLL_SECONDS = 0.02
LONGEST_SECONDS = 300  # of one command, on a busy machine


class Actor:
    """Starts one kind of command again and again.

    Args:
      name: for the counts: "training 1", "evaluation", ...
      words: function without arguments that returns the arguments of the next command.
      pause: function without arguments that returns the seconds before the next start.
      ends: function without arguments that returns how a command ends: None, by itself, or (seconds, signal).
    """

    def __init__(self, name, words, pause, ends=lambda: None):
        self.name, self._words, self._pause, self._ends = name, words, pause, ends
        self.training, self.number, self.end, self.began_with = None, 0, None, 0
        self._next = time.monotonic() + pause()

    def start_if_due(self, folder, saved):
        """Starts the next command when its time has come; ``saved``: step of the last saved checkpoint."""
        if self.training is None and time.monotonic() >= self._next:
            self.number, self.end, self.began_with = self.number + 1, self._ends(), saved
            log = os.path.join(folder, "%s_%d.log" % (self.name.replace(" ", "_"), self.number))
            self.training, self._began, self._sent = Training(self._words(), log), time.monotonic(), False

    def ended(self):
        """(status, signal that it was sent or None, text) of a command that has ended since the last call, else None."""
        if self.training is None:
            return None
        seconds = time.monotonic() - self._began
        if training_runs(self.training.process_id):
            if seconds > LONGEST_SECONDS:
                os.kill(self.training.process_id, signal.SIGKILL)
            elif self.end is not None and not self._sent and seconds > self.end[0]:
                self._sent = True
                os.kill(self.training.process_id, self.end[1])
            return None
        result = self.training.wait(), self.end[1] if self._sent else None, self.training.text
        self.training, self._next = None, time.monotonic() + self._pause()
        return result

    def kill(self):
        if self.training is not None:
            self.training.kill()


class Trial:
    """The directory and what happened in it.

    Args:
      folder: where the corpus, the directory and the logs are.
      seed: of the random moments.
    """

    def __init__(self, folder, seed):
        self.folder, self.random = folder, random.Random(seed)
        self.logdir = os.path.join(folder, "shared")
        self.corpus = write_corpus(folder, 24, 0.6)
        self.counts, self.problems, self.losses, self.saved = collections.Counter(), [], {}, 0
        self.actors = [Actor("training %d" % number, self._training_words, lambda: self.random.uniform(0, 4), self._end)
                       for number in (1, 2)]
        self.actors += [
            Actor("evaluation", lambda: self._words("eval", "--eval_params/data_layer_params/dataset_files=%r" % [self.corpus]),
                  lambda: self.random.uniform(0, 4)),
            Actor("export", lambda: self._words("export", "--export_dir=" + os.path.join(folder, "export"), "--frames=96"),
                  lambda: self.random.uniform(0, 4))]

    def _words(self, mode, *others):
        return ["--config_file=" + CONFIG, "--device=cpu", "--mode=" + mode, "--logdir=" + self.logdir, "--batch_size_per_gpu=4",
                "--encoder_params/convnet_layers=%r" % LAYERS, "--data_layer_params/vocab_file=" + VOCABULARY] + list(others)

    def _training_words(self):
        return self._words(
            "train", "--continue_learning", "--no_dir_check", "--max_steps=%d" % (self.saved + self.random.randint(20, 400)),
            "--save_checkpoint_steps=2", "--num_checkpoints=2", "--print_loss_steps=1", "--print_samples_steps=None",
            "--save_summaries_steps=None", "--metrics_steps=1000000", "--lr_policy_params/decay_steps=100000",
            "--deterministic=True", "--try_worst_batch=False", "--diagnostics_utterances=0",
            "--train_params/data_layer_params/dataset_files=%r" % [self.corpus])

    def _end(self):
        kind = self.random.choice([None, signal.SIGTERM, signal.SIGKILL])
        return None if kind is None else (self.random.uniform(1, 12), kind)

    def run(self, seconds):
        deadline = time.monotonic() + seconds
        try:
            while time.monotonic() < deadline or any(actor.training is not None for actor in self.actors):
                for actor in self.actors:
                    if time.monotonic() < deadline:
                        actor.start_if_due(self.folder, self.saved)
                    result = actor.ended()
                    if result is not None:
                        self._judge(actor, *result)
                time.sleep(POLL_SECONDS)
        finally:
            for actor in self.actors:
                actor.kill()

    def _judge(self, actor, status, sent, text):
        name = "%s %d" % (actor.name, actor.number)
        trains = actor.name.startswith("training")
        self.saved = max([self.saved] + numbers(r"Saved checkpoint \S*model\.ckpt-(\d+) ", text))
        kind = self._kind(status, sent, text, trains, actor.began_with)
        self.counts["%s: %s" % ("training" if trains else actor.name, kind)] += 1
        self.counts["retries"] += text.count("was deleted by the training that owns the directory")
        self.counts["takeovers"] += text.count("is taken over from a training that is not running any more")
        if kind in ("traceback", "failed"):
            self.problems.append("%s: %s, status %d: %s" % (name, kind, status, text[-2000:]))
        for step, loss in re.findall(r"Global step (\d+): \*\*\* +Train loss: (\S+)", text):
            if self.losses.setdefault(int(step), loss) != loss:
                self.problems.append("%s: step %s has the loss %s, and had %s before" % (
                    name, step, loss, self.losses[int(step)]))
        lost = self._lost()
        if lost is not None:
            self.counts["lost checkpoints"] += 1
            self.problems.append("after %s: %s" % (name, lost))

    @staticmethod
    def _kind(status, sent, text, trains, began_with):
        if "Traceback (most recent call last)" in text:
            return "traceback"
        if trains and status == 2 and REFUSED in text:
            return "refused"
        # status 0: the signal came when the training was done
        if status == 0 or trains and sent is not None and status in (128 + sent, -sent):
            return "finished" if status == 0 else "stopped by " + signal.Signals(sent).name
        if not trains and status == 3 and "there is no checkpoint" in text and began_with == 0:
            return "nothing to read yet"
        return "failed"

    def _lost(self):
        """What is wrong with the newest checkpoint, or None."""
        import tensorflow.compat.v1 as tf

        from open_seq2seq.checkpoints.run_directory import RunDirectory
        from open_seq2seq.errors import JasperError

        def step_in(checkpoint):
            reader = tf.train.NewCheckpointReader(checkpoint)
            for name in reader.get_variable_to_shape_map():
                reader.get_tensor(name)
            return int(reader.get_tensor("global_step"))
        saved = self.saved
        if not saved:
            return None
        if os.path.isdir(os.path.join(self.logdir, "damaged")):
            return "there was a damaged checkpoint"
        try:
            found = RunDirectory(self.logdir).read_checkpoint(step_in)
        except (JasperError, tf.errors.OpError) as error:
            return "the newest checkpoint cannot be read: %s" % error
        return None if found >= saved else "the newest checkpoint is %d, but %d was saved" % (found, saved)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long commands are started (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments (default %(default)s)")
    arguments = parser.parse_args()
    # imported once for all forked commands; no session may be opened here
    import open_seq2seq.evaluation.modes
    import open_seq2seq.export.mode
    import open_seq2seq.training.loop  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="jasper-shared-") as folder:
        trial = Trial(folder, arguments.seed)
        trial.run(60 * arguments.minutes)
    for kind in sorted(trial.counts):
        print("%-40s %d" % (kind, trial.counts[kind]))
    print("last saved step %d, %d losses compared, %d problems" % (trial.saved, len(trial.losses), len(trial.problems)))
    for problem in trial.problems:
        print("  " + problem)
    print(json.dumps({"counts": trial.counts, "saved": trial.saved, "problems": trial.problems}))
    sys.exit(1 if trial.problems else 0)


if __name__ == "__main__":
    main()
