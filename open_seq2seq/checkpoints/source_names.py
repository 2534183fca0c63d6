"""The names of variables in checkpoints of other graphs: OpenSeq2Seq's mixed-precision graph, and other name scopes.

OpenSeq2Seq's mixed precision saves a weight W in float16, its float32 master copy as ``Loss_Optimization/FP32-master-copy/W``
and, because TensorFlow puts the current scope in front of a slot's name, the master copy's slots as
``Loss_Optimization/Loss_Optimization/FP32-master-copy/W/SLOT``. Float32 variables (batch norm) and their slots have their
ordinary names. Adam's powers of beta are named after the name scope in which the step is built, e.g.
``Loss_Optimization/cond/beta1_power``: the scope depends on loss scaling, on the device's adapter and on the program.
"""
import collections
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.moving_average import SUFFIX, is_average
from open_seq2seq.optimizers.optimize import SCOPE

MODEL_SCOPE = "ForwardPass/"
MASTER_COPY = "FP32-master-copy/"
_OPTIMIZER_SCOPE = SCOPE + "/"
_BETA_POWER = re.compile(re.escape(_OPTIMIZER_SCOPE) + "(?:.*/)?(beta[12]_power)")
# OpenSeq2Seq has variables for these averages, but never assigns them
_NEVER_SAVED = "NovoGrad_second_moment"


class SourceNames:
    """Finds the variables of a graph in a checkpoint.

    Args:
      types: dict of a name in the checkpoint -> its ``DType``.
    """

    def __init__(self, types):
        self._types = types
        self._masters = {name.split(MASTER_COPY)[-1]: name for name in sorted(types)
                         if MASTER_COPY in name and types[name] == tf.float32}
        self._powers = collections.defaultdict(list)
        for name in types:
            power = _BETA_POWER.fullmatch(name)
            if power:
                self._powers[power.group(1)].append(name)

    def find(self, name, dtype, averaged=False):
        """The name in the checkpoint of the value that a variable takes, or None.

        Args:
          name: the variable's name.
          dtype: its base type.
          averaged: prefer the moving average of a weight to the weight.

        Returns:
          The average's name, the variable's own, or that of the float32 master copy or of its slot if the variable itself was
          saved in another type or not at all; or the only power of beta in another name scope.
        """
        if averaged and name + SUFFIX in self._types:
            return name + SUFFIX
        if self._types.get(name) == dtype:
            return name
        of_weight = name[len(_OPTIMIZER_SCOPE):] if name.startswith(_OPTIMIZER_SCOPE + MODEL_SCOPE) else name
        if of_weight in self._masters:
            return self._masters[of_weight]
        if name in self._types:
            return name
        power = _BETA_POWER.fullmatch(name)
        candidates = self._powers[power.group(1)] if power else ()
        return candidates[0] if len(candidates) == 1 else None


def slot_of(name):
    """The kind of an optimizer's slot of a network's weight (``Momentum``, ``Adam_1``), or None for another variable."""
    scope, found, rest = name.partition(MODEL_SCOPE)
    if not found or not scope.startswith(_OPTIMIZER_SCOPE) or is_average(name):
        return None
    if scope.endswith(MASTER_COPY) and scope.count(_OPTIMIZER_SCOPE) < 2:
        return None      # the master copy of a weight itself
    return rest.rpartition("/")[2]


def describe_lost_slots(missing, surplus):
    """Sentences on slots of the optimizer that were not restored.

    Args:
      missing: names of variables that the graph has and the checkpoint lacks.
      surplus: names of variables that only the checkpoint has.

    Returns:
      List of sentences, empty if the optimizer continues with all of its state.
    """
    lost = collections.Counter(filter(None, map(slot_of, missing)))
    unused = collections.Counter(filter(None, map(slot_of, surplus)))
    unused.pop(_NEVER_SAVED, None)
    sentences = []
    second_moments = lost.pop(_NEVER_SAVED, 0)
    if lost:
        text = "The optimizer's state is lost for %d slots (%s): the checkpoint does not have them, and they start at their " \
               "initial values" % (sum(lost.values()), _listed(lost))
        if unused:
            text += ". It has %d slots of another optimizer, which are not used (%s)" % (sum(unused.values()), _listed(unused))
        sentences.append(text)
    elif second_moments:
        sentences.append("NovoGrad's second moments of %d variables are not in the checkpoint (OpenSeq2Seq does not save them); "
                         "each starts at the squared gradient norm of the first step" % second_moments)
    return sentences


def _listed(kinds):
    return ", ".join("%d %s" % (kinds[kind], kind) for kind in sorted(kinds))
