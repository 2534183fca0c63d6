"""Predicts how many graphs the device compiles in a run.

The adapter compiles a graph for every part of a run that it offloads: one for every set of fetches of ``Session.run`` that uses
the device, and several where ``mix_compile_mode`` allows operations of the host between them.
"""
import collections

from open_seq2seq.devices.device import READING, SETTING
from open_seq2seq.devices.npu_option_checks import ACCELERATION

INITIALIZATION = "initialization and checks of the device"
DIAGNOSTICS = "diagnostics"  # with which the names of their graphs begin
BROADCAST, STATISTICS, NUMBERS = "broadcast of the variables", "mean batch-norm statistics", "numbers of all ranks"

RunGraph = collections.namedtuple("RunGraph", "name parts option again")
RunGraph.__new__.__defaults__ = (1, None, True)
RunGraph.__doc__ = """One set of fetches.

name: for people. parts: number of its parts on the device. option: the key of the config that adds it, None: every run has it.
again: whether it also runs late in a training, when an accelerated training is compiled again with its ordinary precision."""

Compilations = collections.namedtuple("Compilations", "one_process several_processes by_option")
Compilations.__doc__ = """The graphs that a run compiles at most.

one_process, several_processes: lists of the graphs' names, as one process and as one of several; a name occurs as often as the
graph has parts and is compiled. by_option: OrderedDict from a key of the config to how many of ``one_process`` it adds."""


def predicted_compilations(params, training, evaluation, inference, diagnosed=(), test=None, start_parts=1, has_statistics=True):
    """The graphs that are compiled in each kind of run.

    Args:
      params: the checked config of mode "train", or of "eval" without training.
      training, evaluation: lists of :class:`RunGraph`: training steps and diagnostics of the training data; evaluations.
      inference: list of RunGraph, of ``--mode=infer`` with the evaluation data.
      diagnosed: list of RunGraph, of diagnostics of the evaluation data.
      test: list of RunGraph, of the test after the training; None: no test. A name that ``evaluation`` has is the same graph.
      start_parts: number of parts of the checks of the device, which are compiled with the initialization.
      has_statistics: whether the network has batch-norm statistics.

    Returns:
      OrderedDict from "train", "train_eval", "resume" (of train_eval, or of train without evaluation data), "eval" and "infer"
      (with the lengths of the evaluation data), as far as they apply, to :class:`Compilations`.
    """
    runs, npu_params = collections.OrderedDict(), params["npu_params"]
    mixing = "ctc_on_host" if npu_params["ctc_on_host"] else "mix_compile_mode"
    if training:
        for name, evaluates, is_resumed in (("train", False, False), ("train_eval", True, False),
                                            ("resume", bool(evaluation), True)):
            if evaluates and not evaluation:
                continue
            # of the best model, if it is known
            tests_best = test is not None and evaluates
            graphs = [RunGraph(INITIALIZATION, start_parts, again=False), RunGraph(READING)]
            graphs += _setting(params, tests_best, evaluates, is_resumed) + list(training)
            if evaluates:
                graphs += list(evaluation) + list(diagnosed)
            known = {graph.name for graph in graphs}
            graphs += [graph._replace(option="test_files") for graph in test or () if graph.name not in known]
            among_ranks = [RunGraph(BROADCAST, again=tests_best), RunGraph(NUMBERS)]
            among_ranks += [RunGraph(STATISTICS)] * (has_statistics and not params["deterministic"])
            runs[name] = _compiled(graphs, among_ranks, mixing, ACCELERATION in npu_params)
    if evaluation:
        for name, passes in (("eval", evaluation), ("infer", inference)):
            # set from the checkpoint, and checked, in one run; inference is always one process
            graphs = [RunGraph(SETTING + ", checks of the device", start_parts)] + list(passes)
            runs[name] = _compiled(graphs, [RunGraph(BROADCAST), RunGraph(NUMBERS)] * (name == "eval"), mixing, False)
    return runs


def _setting(params, tests_best, evaluates, is_resumed):
    """A list of the one graph that sets all variables, or of none."""
    at_start = (is_resumed or params["try_worst_batch"] or params["load_model"] is not None
                or params["load_checkpoint_dir"] is not None)
    back_to_best = tests_best or (evaluates and params["reduce_lr_on_plateau"])
    if at_start:
        return [RunGraph(SETTING, again=back_to_best)]
    return [RunGraph(SETTING, 1, "test_files" if tests_best else "reduce_lr_on_plateau", False)] * bool(back_to_best)


def _compiled(graphs, among_ranks, mixing, accelerated):
    names, by_option = [], collections.Counter()
    for graph in graphs:
        names += _names(graph, accelerated)
        if graph.option is not None:
            by_option[graph.option] += graph.parts
        else:
            by_option[mixing] += graph.parts - 1
        by_option[ACCELERATION] += len(_names(graph, accelerated)) - graph.parts
    of_ranks = [name for graph in among_ranks for name in _names(graph, accelerated)]
    return Compilations(names, names + of_ranks, collections.OrderedDict(
        (option, count) for option, count in sorted(by_option.items()) if count))


def _names(graph, accelerated):
    return [graph.name] * graph.parts * (2 if accelerated and graph.again else 1)
