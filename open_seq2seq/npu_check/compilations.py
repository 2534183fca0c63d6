"""Predicts how many graphs the device compiles in a run: one for every set of fetches of ``Session.run`` that uses the device."""
import collections

INITIALIZATION = "initialization and checks of the device"
READING, SETTING = "reading all variables", "setting all variables"
DIAGNOSTICS = "diagnostics"  # with which the names of their graphs begin
BROADCAST, STATISTICS, NUMBERS = "broadcast of the variables", "mean batch-norm statistics", "numbers of all ranks"

Compilations = collections.namedtuple("Compilations", "one_process several_processes")
Compilations.__doc__ = """Lists of the names of the graphs that a run compiles as one process, and as one of several."""


def predicted_compilations(params, training, evaluation, has_statistics=True):
    """The graphs that are compiled in each kind of run.

    Args:
      params: the checked config of mode "train"; None without training.
      training, evaluation: lists of the names of the graphs of training steps and of evaluations; a name occurs as often as its
        graph has parts.
      has_statistics: whether the network has batch-norm statistics.

    Returns:
      OrderedDict from "train", "train_eval", "resume" (of train_eval, or of train without evaluation data), "eval" and "infer"
      (with the lengths of the evaluation data), as far as they apply, to :class:`Compilations`.
    """
    runs = collections.OrderedDict()
    if training:
        # a fresh training sets variables after it has tried the longest batches, or from another training's checkpoint
        sets = params["try_worst_batch"] or params["load_model"] is not None or params["load_checkpoint_dir"] is not None
        start = [INITIALIZATION, READING]
        among_ranks = [BROADCAST, NUMBERS] + [STATISTICS] * (has_statistics and not params["deterministic"])
        for name, also_evaluates, is_resumed in (("train", False, False), ("train_eval", True, False),
                                                 ("resume", bool(evaluation), True)):
            if also_evaluates and not evaluation:
                continue
            # a subset of the evaluation data is diagnosed as well, by graphs of its own
            diagnosed = also_evaluates and any(graph.startswith(DIAGNOSTICS) for graph in training)
            runs[name] = _of(start + [SETTING] * (sets or is_resumed) + training + evaluation * (also_evaluates + diagnosed),
                             among_ranks)
    if evaluation:
        for name in ("eval", "infer"):
            # set from the checkpoint, and checked, in one run; inference is always one process
            runs[name] = _of([SETTING + ", checks of the device"] + evaluation, [BROADCAST, NUMBERS] * (name == "eval"))
    return runs


def _of(graphs, among_ranks):
    return Compilations(graphs, graphs + among_ranks)
