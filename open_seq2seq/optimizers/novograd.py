"""NovoGrad (Ginsburg et al., arXiv:1905.11286): momentum on gradients that are normalized per tensor.

    v = |g|^2                              in the first step
    v = beta2 * v + (1 - beta2) * |g|^2    afterwards; one number per tensor
    m = beta1 * m + (g / sqrt(v + epsilon) + weight_decay * w)      times (1 - beta1) with grad_averaging
    w = w - learning_rate * m

This is algorithm 1 of the paper, in which v is kept from step to step. OpenSeq2Seq never stores v, so its beta2 has no effect;
``beta2=0`` gives the same steps as OpenSeq2Seq. Epsilon is added under the root, as in OpenSeq2Seq; the paper and NVIDIA's
DeepLearningExamples add it to the root. For ``|g|`` well above ``sqrt(epsilon)`` = 1e-4 the difference is below the precision of
float32, but with LARC it matters: LARC multiplies the gradient of a variable that is still zero by 1e-7, and only epsilon under
the root prevents the normalization from undoing this.

The momentum is saved under OpenSeq2Seq's name, ``VARIABLE/NovoGrad``; v as ``VARIABLE/NovoGrad_second_moment``.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Bool, Float, Parameter
from open_seq2seq.optimizers.update_operations import descend_with_momentum, subtract_scaled

# multiplier: scalar or [variables], by which the optimizer multiplies the gradients (loss scale, clipping, LARC); squared_norms:
# float32 [variables], squared Euclidean norms of the gradients before that. With these, NovoGrad needs no additional pass over
# memory, and what it computes with single numbers is one operation for all variables.
GradientScale = collections.namedtuple("GradientScale", "multiplier squared_norms")


class NovoGrad(tf.train.Optimizer):
    """Layer-wise adaptive momentum; a ``tf.train.Optimizer`` for dense gradients of float32 variables.

    Args:
      learning_rate: float or float32 scalar.
      beta1, beta2, epsilon, weight_decay, grad_averaging: see :attr:`PARAMETERS`.
      use_locking: bool, lock the variables while they are updated.
      name: prefix of the saved state's names.
    """

    PARAMETERS = (
        Parameter("beta1", Float(minimum=0.0, maximum=1.0), default=0.95, doc="decay of the momentum"),
        Parameter("beta2", Float(minimum=0.0, maximum=1.0), default=0.98,
                  doc="decay of the average of squared gradient norms; 0 is what OpenSeq2Seq computes for every value"),
        Parameter("epsilon", Float(minimum=0.0), default=1e-8, doc="added to the second moment, under the root"),
        Parameter("weight_decay", Float(minimum=0.0), default=0.0, doc="weight decay, added to the normalized gradient"),
        Parameter("grad_averaging", Bool(), default=False, doc="multiply the normalized gradient by 1 - beta1"),
        Parameter("use_locking", Bool(), default=False, doc="lock the variables while they are updated"),
        Parameter("name", Any(), default="NovoGrad", doc="prefix of the saved state's names"),
    )

    def __init__(self, learning_rate=1.0, beta1=0.95, beta2=0.98, epsilon=1e-8, weight_decay=0.0, grad_averaging=False,
                 use_locking=False, name="NovoGrad"):
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self._weight_decay, self._grad_averaging = weight_decay, grad_averaging
        self._scale, self._scaled = None, []

    def apply_gradients(self, grads_and_vars, global_step=None, name=None, scale=None):
        """See ``tf.train.Optimizer.apply_gradients``.

        Args:
          grads_and_vars: pairs, see ``compute_gradients``.
          global_step: variable to increment, or None.
          name: name of the returned operation.
          scale: GradientScale of the variables in their order, for gradients that are not scaled yet; or None.

        Returns:
          An operation.

        Raises:
          NotImplementedError: a gradient is sparse.
        """
        grads_and_vars = list(grads_and_vars)
        self._scale, self._scaled = scale, [variable for _, variable in grads_and_vars]
        return super().apply_gradients(grads_and_vars, global_step=global_step, name=name)

    def _create_slots(self, var_list):
        for variable in var_list:
            self._zeros_slot(variable, "momentum", self._name)
            self._get_or_make_slot(variable, tf.zeros([], tf.float32), "second_moment", self._name + "_second_moment")

    def _prepare(self):
        self._learning_rate_tensor = tf.convert_to_tensor(self._learning_rate, tf.float32, name="learning_rate")
        self._momentum_decay = tf.constant(self._beta1, tf.float32)
        self._share = 1.0 - self._beta1 if self._grad_averaging else 1.0
        weight_decay = self._share * self._weight_decay
        # a scalar tensor, where it depends on the number of jobs of a parallel training
        self._decays = tf.is_tensor(weight_decay) or weight_decay > 0.0
        self._decay = tf.convert_to_tensor(weight_decay, tf.float32)
        if self._beta1:
            self._decay_of_momentum = tf.convert_to_tensor(-weight_decay / self._beta1, tf.float32)
        self._normalized = {}
        if self._scale is not None:
            moments = tf.stack([tf.convert_to_tensor(self.get_slot(variable, "second_moment")) for variable in self._scaled])
            normalized = self._normalize(self._scale.squared_norms * tf.square(self._scale.multiplier), moments,
                                         self._scale.multiplier)
            self._normalized = dict(zip((variable.name for variable in self._scaled), zip(*map(tf.unstack, normalized))))

    def _normalize(self, squared_norms, moments, multiplier):
        """(factors of the gradients, new second moments), both of the shape of ``squared_norms``."""
        averages = tf.where(tf.equal(moments, 0.0), squared_norms, self._beta2 * moments + (1.0 - self._beta2) * squared_norms)
        return self._share * multiplier / tf.sqrt(averages + self._epsilon), averages

    def _apply_dense(self, gradient, variable):
        momentum = self.get_slot(variable, "momentum")
        second_moment = self.get_slot(variable, "second_moment")
        if variable.name in self._normalized:
            factor, average = self._normalized[variable.name]
        else:
            factor, average = self._normalize(2.0 * tf.nn.l2_loss(gradient), tf.convert_to_tensor(second_moment), 1.0)
        step, before = gradient * factor, []
        if self._decays and self._beta1:
            # beta1 * (m + weight_decay / beta1 * w) + g: the decay is added to the momentum in place
            before.append(subtract_scaled(momentum, self._decay_of_momentum, variable, self._use_locking))
        elif self._decays:
            step += self._decay * variable
        with tf.control_dependencies(before):
            descent = descend_with_momentum(variable, momentum, self._learning_rate_tensor, step, self._momentum_decay,
                                            self._use_locking)
        return tf.group(descent, second_moment.assign(average))

    _resource_apply_dense = _apply_dense
