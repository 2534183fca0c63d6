"""The graph of a folded network with fast convolutions, for CPUs.

Activations keep the layout of ``frame_layouts.PhaseRows`` from layer to layer; in it a fast convolution copies nothing except its
result. On a CPU a product of large matrices is limited by arithmetic, so fewer multiplications take less time. On an NPU the
matrix unit is limited by memory, and fast convolutions save nothing.
"""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.export.freeze.fast_filters import PHASES, earliest, fast_filters, rows_needed
from open_seq2seq.export.freeze.frame_layouts import FramePairs, PhaseRows
from open_seq2seq.export.freeze.inference_graph import InferenceGraph, mask_after

# Measured on 2 cores with AVX-512: for smaller layers the sums take longer than the saved products.
FEWEST_CHANNELS = 64
FEWEST_TAPS = 5


class FastInferenceGraph(InferenceGraph):
    """An ``InferenceGraph`` in float32 with fast convolutions for the layers that they make faster.

    Args:
      network: a ``FoldedNetwork``.
    """

    def __init__(self, network):
        first = network.convolutions[0]
        self._pairs = _fast_pairs(first)
        if self._pairs is not None:
            network = network._replace(convolutions=[self._pairs.layer] + list(network.convolutions[1:]))
        super().__init__(network)
        self._first = first
        self._plans = {layer.name: _Plan(layer.kernel) for layer in network.convolutions if _is_fast(layer)}
        if self._pairs is not None:
            self._plans[first.name] = _Plan(self._pairs.layer.kernel, self._pairs.before)
        self._halo = max([1] + [plan.halo for plan in self._plans.values()])

    def _encoded(self, images, mask):
        network, block_inputs = self._network, []
        if network.convolutions[0].name in self._plans:
            images = images if self._pairs is None else self._pairs.images(images)
            orders, dilation = self._orders(images, mask), network.convolutions[0].dilation
            # the mask is for the first convolution's outputs; the features of the padding are zero already
            rows = orders.order(dilation).of_images(images, orders.everything(dilation))
            activations = _Activations(orders, rows=rows, dilation=dilation)
        else:
            activations = _Activations(None, images=images)
        for number, layer in enumerate(network.convolutions):
            with tf.name_scope(layer.name):
                if layer.opens_block:
                    block_inputs.append(activations)
                branches = [block_inputs[branch] for branch in layer.branches]
                if layer.name in self._plans or _is_pointwise(layer) and activations.dilation is not None:
                    activations = self._rows_layer(layer, activations, branches)
                    continue
                if number > 0:
                    mask = mask_after(mask, layer)
                outputs = self._layer(layer, activations.images, [branch.images for branch in branches])
                keeps_frames = number > 0 and layer.stride == 1 and layer.padding == "SAME"
                activations = _Activations(activations.orders if keeps_frames else self._orders(outputs, mask), images=outputs)
        return activations

    def _orders(self, images, mask):
        return _Orders(images, mask if self._network.masked else None, self._halo)

    def _rows_layer(self, layer, activations, branches):
        """A layer that is pointwise or has a plan; its result has the layout of rows."""
        orders, plan = activations.orders, self._plans.get(layer.name)
        dilation = activations.dilation if plan is None else layer.dilation
        order = orders.order(dilation)
        rows = activations.rows(dilation)
        residual = self._residual(layer, [branch.rows(dilation) for branch in branches])
        if plan is None:
            outputs = self._pointwise(rows, layer.kernel, layer.bias)
            outputs = outputs if residual is None else outputs + residual
        else:
            outputs = self._phases(plan, order, rows, layer.bias)
            if residual is not None:
                outputs = [output + order.cut(residual, phase, 0) for phase, output in enumerate(outputs)]
            outputs = order.joined(outputs)
        return _Activations(orders, rows=self._activated(outputs) * orders.mask(dilation), dilation=dilation)

    def _phases(self, plan, order, rows, bias):
        """The phases of a convolution's outputs, PHASES tensors [R, lanes * B, Cout]."""
        signals = {}
        for signal, more_rows in plan.needed:
            if isinstance(signal, tuple):
                minuend, subtrahend = (order.later(signals[part], first, more_rows) for part, first in map(earliest, signal))
                signals[signal] = minuend - subtrahend
            else:
                steps, phase = divmod(signal - plan.before, PHASES)
                signals[signal] = order.cut(rows, phase, steps, more_rows)
        products = []
        for number, one in enumerate(plan.filters):
            signal, first = earliest(one.signal)
            images = tf.expand_dims(order.later(signals[signal], first, len(one.taps) - 1), 0)
            # [1, rows, lanes * B, C]: the rows are an image's height, over which a kernel of width 1 goes
            product = tf.nn.conv2d(images, tf.constant(one.taps[:, np.newaxis], name="kernel"), [1, 1, 1, 1], "VALID")
            # TensorFlow fuses this addition with the convolution, and the last filter is part of all outputs
            if bias is not None and number == len(plan.filters) - 1:
                product = tf.nn.bias_add(product, tf.constant(bias, name="bias"))
            products.append(tf.squeeze(product, [0]))
        # not tf.add_n: TensorFlow 1.15 plans its memory with a cost model that aborts where sizes are unknown
        sums = [()] * PHASES
        values = {}
        for number, one in reversed(list(enumerate(plan.filters))):
            for phase in one.outputs:
                terms = sums[phase] + (number,)
                if terms not in values:
                    values[terms] = values[sums[phase]] + products[number] if sums[phase] else products[number]
                sums[phase] = terms
        return [values[terms] for terms in sums]

    def _residual(self, layer, branches):
        if not branches:
            return None
        return self._pointwise(tf.concat(branches, 2) if len(branches) > 1 else branches[0], layer.residual_kernel, None)

    def _pointwise(self, rows, kernel, bias):
        """A kernel [1, C, Cout] and a bias [Cout], or None, applied to [rows, lanes * B, C]."""
        outputs = tf.nn.conv2d(tf.expand_dims(rows, 0), self._constant("kernel", kernel[np.newaxis]), [1, 1, 1, 1], "VALID")
        if bias is not None:
            outputs = tf.nn.bias_add(outputs, self._constant("bias", bias))
        return tf.squeeze(outputs, [0])

    def _products(self, activations, kernel):
        if activations.dilation is None:
            return super()._products(activations.unmasked_images, kernel)
        rows = self._pointwise(activations.rows(activations.dilation), kernel, None)
        # the logits are reordered instead of the activations: they have fewer channels
        return activations.orders.order(activations.dilation).images(rows)


class _Plan:
    """How a convolution of stride 1 with SAME padding is computed.

    Args:
      kernel: array [width, Cin, Cout].
      before: frames between the first tap and the output's frame; None: those of SAME padding.
    """

    def __init__(self, kernel, before=None):
        self.filters = fast_filters(kernel)
        self.needed = rows_needed(self.filters)
        self.before = (kernel.shape[0] - 1) // 2 if before is None else before
        inputs = [((signal - self.before) // PHASES, rows) for signal, rows in self.needed if not isinstance(signal, tuple)]
        self.halo = max(max(-first, first + rows) for first, rows in inputs)


class _Orders:
    """The layouts of the frames between two layers that change their number, one for each dilation.

    Args:
      images: [B, 1, T, C].
      mask: float32 [B, 1, T, 1], or None: all frames are valid.
      halo: rows of zeros between phases.
    """

    def __init__(self, images, mask, halo):
        shape, dynamic = images.shape.as_list(), tf.shape(images)
        self._batch_size = dynamic[0] if shape[0] is None else shape[0]
        self._frames = dynamic[2] if shape[2] is None else shape[2]
        self.image_mask, self._halo = mask, halo
        self._orders, self._masks = {}, {}

    def order(self, dilation):
        """The ``PhaseRows`` for a dilation."""
        if dilation not in self._orders:
            self._orders[dilation] = PhaseRows(self._batch_size, self._frames, dilation, self._halo)
        return self._orders[dilation]

    def mask(self, dilation):
        """Its mask [rows, lanes * B, 1]."""
        if dilation not in self._masks:
            self._masks[dilation] = (self.everything(dilation) if self.image_mask is None
                                     else self.order(dilation).mask(self.image_mask))
        return self._masks[dilation]

    def everything(self, dilation):
        """The mask of all frames, including padding: zero only where a row holds no frame."""
        return self.order(dilation).mask(tf.ones([self._batch_size, self._frames]))


class _Activations:
    """A layer's outputs, converted to the layout that the next layer needs.

    Args:
      orders: the :class:`_Orders` of their frames, or None where neither rows nor masks are needed.
      images: [B, 1, T, C], padded frames not yet zero; or None, then ``rows`` and ``dilation`` are given.
      rows: [rows, lanes * B, C] in the layout for ``dilation``.
    """

    def __init__(self, orders, images=None, rows=None, dilation=None):
        self.orders, self.dilation, self.unmasked_images = orders, dilation, images
        self._images, self._rows = None, {} if rows is None else {dilation: rows}

    @property
    def images(self):
        """[B, 1, T, C], padded frames zero if the network masks them."""
        if self._images is None and self.unmasked_images is None:
            self._images = self.orders.order(self.dilation).images(self._rows[self.dilation])
        elif self._images is None:
            mask = None if self.orders is None else self.orders.image_mask
            self._images = self.unmasked_images if mask is None else self.unmasked_images * mask
        return self._images

    def rows(self, dilation):
        """[rows, lanes * B, C] in the layout for ``dilation``."""
        if dilation not in self._rows:
            order = self.orders.order(dilation)
            if self.dilation is None:
                self._rows[dilation] = order.of_images(self.unmasked_images, self.orders.mask(dilation))
            else:
                self._rows[dilation] = order.of_other(self._rows[self.dilation], self.orders.order(self.dilation))
        return self._rows[dilation]


def _is_fast(layer):
    if layer.depthwise is not None or layer.kernel is None or layer.stride > 1 or layer.padding != "SAME":
        return False
    width, input_channels, output_channels = layer.kernel.shape
    return width >= FEWEST_TAPS and min(input_channels, output_channels) >= FEWEST_CHANNELS


def _fast_pairs(layer):
    """The ``FramePairs`` of a layer of stride 2 that they make faster, or None."""
    if layer.stride != 2 or not _is_fast(layer._replace(stride=1)) or layer.branches or layer.opens_block:
        return None
    pairs = FramePairs(layer)
    return pairs if _is_fast(pairs.layer) else None


def _is_pointwise(layer):
    return layer.depthwise is None and layer.kernel is not None and layer.stride == 1 and layer.kernel.shape[0] == 1
