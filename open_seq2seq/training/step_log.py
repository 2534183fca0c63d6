"""What a training run tells on the way: lines, summaries, speeds."""
import datetime

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.evaluation.error_rates import word_error_rate
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import Throughput, clock_text, resident_bytes
from open_seq2seq.training.metrics import data_set_name


def is_due(every, step):
    """The first step and every multiple, as OpenSeq2Seq's hooks fire; never where ``every`` is None."""
    return every is not None and (step == 1 or step % every == 0)


class StepLog:
    """Lines and summaries of a training run.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      first_step: steps that were made before.
      summaries: a ``tf.summary.FileWriter``, or None.
      metrics: the ``Metrics`` of the run.
    """

    def __init__(self, params, graph, device, group, first_step, summaries, metrics):
        self._params, self._graph, self._static_shapes, self._group = params, graph, device.static_shapes, group
        self._first_step, self._summaries, self._metrics = first_step, summaries, metrics
        frame_seconds = params["data_layer_params"]["window_stride"]
        # since the last lines, since the last metrics, and of the whole run
        self._recent, self._measured, self._whole = (Throughput(frame_seconds) for _ in range(3))
        self._reported_uncounted, self._speeds = set(), []

    def wants(self, step):
        """(samples, summary): what ``ShapeStep.update_fetches`` is to fetch at a step."""
        return tuple(self._fetched(parameter, step) for parameter in ("print_samples_steps", "save_summaries_steps"))

    def _fetched(self, parameter, step):
        if self._static_shapes:
            # every set of fetches is a graph of its own that the device compiles, so there is but one set
            return self._params[parameter] is not None
        return is_due(self._params[parameter], step)

    def restart(self):
        """Begins to measure the speed."""
        self._recent.restart()
        self._measured.restart()

    def batch(self, values):
        """Counts a batch, and names utterances that CTC could not align."""
        real = values["weights"] > 0
        for throughput in (self._recent, self._measured, self._whole):
            # the other ranks' batches are like this one
            throughput.add(int(real.sum()) * self._group.size, int(values["frames"][real].sum()) * self._group.size,
                           values.get("data_wait"))
        # where the network's own numbers are not finite, it is no utterance's fault
        uncounted = real & ~values["counted"] if np.isfinite(values["batch_loss"]) else []
        for index in values["indices"][uncounted]:
            if index not in self._reported_uncounted:
                self._reported_uncounted.add(index)
                utterance = self._graph.data_layer.utterances[index]
                log_line("Utterance %s has no finite CTC loss (%.2f s, %d labels) and adds nothing to the gradient"
                         % (utterance.id, utterance.duration, len(utterance.labels)), from_every_rank=True)

    def figures(self, epoch, loss):
        """What the progress bar shows beside itself, the most important first."""
        speed = self._recent
        if speed.steps:  # else it has just begun to be measured anew, and the last figures stay
            self._speeds = ["%.0f audio s/s" % speed.audio_seconds_per_second]
            if speed.wait_share is not None:
                self._speeds.append("%.0f %% waiting for data" % (100 * speed.wait_share))
            self._speeds += ["%.1f GB" % (resident_bytes() / 1e9), "%.1f utterances/s" % speed.utterances_per_second]
        return ["epoch %d" % epoch, "loss %.3f" % loss] + self._speeds

    def step(self, step, epoch, loss, values):
        """Prints the lines and writes the summaries that are due at this step."""
        if is_due(self._params["print_loss_steps"], step):
            where = "Global step %d:" % step if self._params["max_steps"] else "Epoch %d, global step %d:" % (epoch, step)
            log_line("%s ***     Train loss: %.4f " % (where, 0.0 if -1e-4 < loss < 0.0 else loss))
            log_line("time per step = " + clock_text(self._recent.seconds_per_step), start="")
            log_line("%.1f utterances/s, %.1f audio seconds/s, %s to go" % (
                self._recent.utterances_per_second, self._recent.audio_seconds_per_second,
                datetime.timedelta(seconds=round(self._recent.seconds_per_step * (self._graph.last_step - step)))), offset=4)
        if "best_path" in values and is_due(self._params["print_samples_steps"], step):
            target, prediction = self._graph.sample(values)
            log_line("Sample WER: %.4f" % word_error_rate(target, prediction), offset=4)
            log_line("Sample target:     " + target, offset=4)
            log_line("Sample prediction: " + prediction, offset=4)
        if is_due(self._params["print_bench_info_steps"], step):
            log_line("Avg objects per second: %.3f" % self._whole.frames_per_second)
        if self._summaries is not None and is_due(self._params["save_summaries_steps"], step):
            self._summaries.add_summary(self._graph.without_shape_scope(values["summary"]), step)
        if is_due(self._params["metrics_steps"], step):
            self._measure(step, epoch, loss, values)
        if is_due(self._params["print_loss_steps"], step):
            self._recent.restart()
        if step - self._first_step == self._params["bench_start"]:
            self._whole.restart()

    def _measure(self, step, epoch, loss, values):
        """Writes the metrics of a step; speeds are those since the last ones."""
        speed, others = self._measured, {}
        if "limited_changes" in values:
            # both in the whole training
            others = {"limited_layer_changes": values["limited_changes"][:-1].sum(),
                      "limited_total_changes": values["limited_changes"][-1]}
        self._metrics.write("step", step, epoch=epoch, loss=loss, learning_rate=values["learning_rate"],
                            loss_scale=values["loss_scale"], gradient_norm=values["gradient_norm"],
                            seconds_per_step=speed.seconds_per_step * self._graph.iter_size,
                            utterances_per_second=speed.utterances_per_second,
                            audio_seconds_per_second=speed.audio_seconds_per_second, data_wait_share=speed.wait_share, **others)
        speed.restart()

    def evaluated(self, step, result):
        """Writes an evaluation's summaries and metrics, and leaves its time out of the speeds, which are the training's."""
        if self._summaries is not None:
            self._summaries.add_summary(tf.Summary(value=[
                tf.Summary.Value(tag="eval_loss", simple_value=result.loss),
                tf.Summary.Value(tag="eval_WER", simple_value=result.word_error_rate.rate)]), step)
        self._metrics.write(
            "evaluation", step, data_set=data_set_name(self._graph.evaluation.data_layer), loss=result.loss,
            word_error_rate=result.word_error_rate.rate, character_error_rate=result.character_error_rate.rate,
            sentence_error_rate=result.sentence_error_rate.rate, utterances=result.num_utterances, seconds=result.seconds)
        self.left_out(result.seconds)

    def left_out(self, seconds):
        """Leaves out of the speeds, which are the training's, what something else has just taken."""
        self._recent.restart()
        self._measured.exclude(seconds)
        self._whole.exclude(seconds)

    def finish(self, step):
        """Prints the speed of the whole run, after step ``step``."""
        log_line("Finished training")
        if step - self._first_step > self._params["bench_start"]:
            log_line("Avg time per step: %.3fs" % self._whole.seconds_per_step)
            log_line("Avg objects per second: %.3f" % self._whole.frames_per_second)
        else:
            log_line("Not enough steps for benchmarking")

    def close(self):
        if self._summaries is not None:
            self._summaries.close()
