"""The limits of the change in an update, compared with an implementation in NumPy."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import AdapterOptimizer, Optimization
from open_seq2seq.optimizers.layers import by_layer, layer_of

START = {"ForwardPass/net/conv11/kernel": [1.0, -2.0, 0.5], "ForwardPass/net/conv11/bn/gamma": [1.0],
         "ForwardPass/net/conv12/kernel": [0.25, 4.0], "ForwardPass/net/conv12/res_bn_0/beta": [-3.0]}
LAYERS = {"conv11": ["ForwardPass/net/conv11/kernel", "ForwardPass/net/conv11/bn/gamma"],
          "conv12": ["ForwardPass/net/conv12/kernel"], "conv12/res_0": ["ForwardPass/net/conv12/res_bn_0/beta"]}


@pytest.mark.parametrize("name, layer", [
    ("ForwardPass/w2l_encoder/conv11/kernel", "conv11"), ("ForwardPass/w2l_encoder/conv11/bn/gamma", "conv11"),
    ("ForwardPass/w2l_encoder/conv22/res/kernel", "conv22/res"), ("ForwardPass/w2l_encoder/conv22/res_bn/beta", "conv22/res"),
    ("ForwardPass/w2l_encoder/conv22/res_10/depthwise_kernel", "conv22/res_10"),
    ("ForwardPass/w2l_encoder/conv22/res_bn_10/gamma", "conv22/res_10"),
    ("ForwardPass/w2l_encoder/LayerNorm_3/gamma", "LayerNorm_3"),
    ("ForwardPass/fully_connected_ctc_decoder/fully_connected/bias", "fully_connected"),
    ("model/weights", "model"), ("weights", "weights"), ("bn/gamma", "bn")])
def test_layers_of_variables(name, layer):
    assert layer_of(name) == layer


class _Model:
    """``scale * sum(slope * variable)``: the gradients are ``scale * slope`` whatever the variables are."""

    def __init__(self, params, slopes, wrap=None):
        self.scale = tf.placeholder_with_default(1.0, [])
        self.variables = [tf.get_variable(name, initializer=np.array(value, np.float32), use_resource=False)
                          for name, value in START.items()]
        loss = self.scale * tf.add_n([tf.reduce_sum(variable * slope) for variable, slope in zip(self.variables, slopes)])
        self.train = Optimization(params, 10, 10, wrap=wrap).operations(loss)
        self.session = tf.Session()
        self.session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])

    def step(self, scale=1.0, operation=None):
        self.session.run(operation or self.train.update, {self.scale: scale})
        return dict(zip(START, self.session.run(self.variables)))

    @property
    def counts(self):
        return self.session.run(self.train.limited_changes).tolist()


def _limited(before, after, of_layer, of_all):
    """What Kaldi's limits make of a change in float64: the new values, and which limits were reached."""
    change = {name: np.float64(after[name]) - before[name] for name in START}
    reached, total = [], 0.0
    for names in LAYERS.values():
        norm = np.sqrt(sum(np.sum(change[name] ** 2) for name in names))
        reached.append(of_layer is not None and norm > of_layer)
        factor = of_layer / norm if reached[-1] else 1.0
        total += (factor * norm) ** 2
        for name in names:
            change[name] = change[name] * factor
    reached.append(of_all is not None and np.sqrt(total) > of_all)
    factor = of_all / np.sqrt(total) if reached[-1] else 1.0
    return {name: before[name] + factor * change[name] for name in START}, np.array(reached, int)


def _slopes():
    draw = np.random.RandomState(5)
    return [draw.normal(size=len(value)).astype(np.float32) * 3.0 for value in START.values()]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer, optimizer_params, of_layer, of_all", [
    ("SGD", {}, 0.3, None), ("SGD", {}, None, 0.2), ("SGD", {}, 100.0, 100.0), ("Momentum", {"momentum": 0.9}, 0.02, 100.0),
    ("Adam", {}, 0.15, 0.2), ("NovoGrad", {"weight_decay": 0.01}, 0.15, 0.2)])
def test_as_numpy_limits_it(graph, make_params, optimizer, optimizer_params, of_layer, of_all):
    common = {"optimizer": optimizer, "optimizer_params": optimizer_params, "max_grad_norm": 50.0}
    with tf.Graph().as_default():
        free = _Model(make_params(**common), _slopes())
    limited = _Model(make_params(max_param_change=of_layer, max_total_param_change=of_all, **common), _slopes())
    counts = np.zeros(len(LAYERS) + 1, int)
    values = {name: np.array(value, np.float32) for name, value in START.items()}
    for scale in (1.0, 0.01, 3.0, -1.0):
        # weight decay depends on the weights, so the optimizer without a limit continues from the limited ones
        for variable, value in zip(free.variables, values.values()):
            variable.load(value, free.session)
        expected, reached = _limited(values, free.step(scale), of_layer, of_all)
        counts += reached
        values = limited.step(scale)
        for name in START:
            np.testing.assert_allclose(values[name], expected[name], rtol=2e-6, atol=1e-7, err_msg=name)
        assert limited.counts == counts.tolist()


def test_a_huge_change_is_reduced_without_loss_of_precision(graph, make_params):
    model = _Model(make_params(lr_policy_params={"learning_rate": 1e12}, max_total_param_change=0.5), _slopes())
    after = model.step()
    slopes = np.concatenate(_slopes()).astype(np.float64)
    start = np.concatenate(list(START.values()))
    np.testing.assert_allclose(np.concatenate(list(after.values())), start - 0.5 * slopes / np.linalg.norm(slopes), rtol=1e-5)


def test_a_non_finite_change_is_not_made(graph, make_params):
    model = _Model(make_params(lr_policy_params={"learning_rate": 3e38}, max_param_change=0.5), _slopes())
    assert {name: value.tolist() for name, value in model.step().items()} == START
    assert model.counts == [1, 1, 1, 1]


def test_with_accumulation_the_complete_step_is_limited(graph, make_params):
    model = _Model(make_params(iter_size=2, max_total_param_change=0.2), _slopes())
    model.step(5.0, model.train.accumulate)
    slopes = np.concatenate(_slopes())
    moved = np.concatenate(list(model.step(-4.0).values())) - np.concatenate(list(START.values()))
    # learning rate 0.1 times the mean of the factors 5 and -4 would be further
    assert np.linalg.norm(0.1 * 0.5 * slopes) > 0.2
    np.testing.assert_allclose(moved, -0.2 * slopes / np.linalg.norm(slopes), rtol=1e-5)
    assert model.counts == [0, 0, 0, 1]


def test_a_skipped_step_is_not_counted_as_limited(graph, make_params):
    model = _Model(make_params(max_param_change=0.01), _slopes())
    assert {name: value.tolist() for name, value in model.step(float("nan")).items()} == START
    assert model.counts == [0, 0, 0, 0]


def test_below_an_adapter(graph, make_params):
    if tf.control_flow_v2_enabled():
        pytest.skip("the adapters' classes are written for TensorFlow 1's control flow")

    class Adapter(tf.train.Optimizer):
        def __init__(self, inner):
            super().__init__(False, "Adapter")
            self.inner = inner

        def compute_gradients(self, *arguments, **options):
            return self.inner.compute_gradients(*arguments, **options)

        def apply_gradients(self, grads_and_vars, global_step=None, name=None):
            return tf.cond(tf.constant(True), lambda: self.inner.apply_gradients(grads_and_vars, global_step), tf.no_op)

    model = _Model(make_params(max_total_param_change=0.2), _slopes(),
                   wrap=lambda inner: AdapterOptimizer(Adapter(inner), tf.constant(1.0)))
    moved = np.concatenate(list(model.step().values())) - np.concatenate(list(START.values()))
    assert np.linalg.norm(moved) == pytest.approx(0.2, rel=1e-5)
    assert model.counts == [0, 0, 0, 1]


def test_without_a_limit_nothing_is_added(graph, make_params):
    model = _Model(make_params(), _slopes())
    assert model.train.limited_changes is None
    assert not [variable for variable in tf.global_variables() if "limited" in variable.op.name]


def test_norms_of_layers(graph, make_params):
    model = _Model(make_params(loss_scaling=8.0, iter_size=2), _slopes())
    assert model.train.layers == list(LAYERS) == list(by_layer(model.variables))
    norms = model.session.run([model.train.layer_gradient_norms, model.train.update])[0]
    slopes = dict(zip(START, _slopes()))
    for norm, names in zip(norms, LAYERS.values()):
        # one batch of two
        assert norm == pytest.approx(0.5 * np.linalg.norm(np.concatenate([slopes[name] for name in names])), rel=1e-5)
