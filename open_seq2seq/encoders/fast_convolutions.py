"""Which convolutions of a training step use Fourier transforms, and with which block length.

The choice compares the processor time of both ways, forward pass and gradients together, in multiplications of matrix products:

    direct:   3 B T W Cin Cout
    Fourier:  R (3 rows Cin Cout + KERNEL Cin Cout + ACTIVATION rows (Cin + Cout))

with the R products and the rows of blocks of ``fourier_convolution``. The last two terms are the transforms, which are limited by
memory. ``benchmarks/convolutions.py`` measures both ways for each layer of a config.
"""
import math

from open_seq2seq.encoders.fourier_convolution import products_of

# Time of one number of the transformed kernel (written in the forward and the backward pass, its gradient, three reads) and of
# one of the transformed activations, in multiplications of a matrix product. Measured on an AMD EPYC (Zen 4) with TensorFlow 1.15
# and two threads, which wait for memory together; with one thread the kernel's number is 340.
KERNEL, ACTIVATION = 540, 320
KERNEL_READ = 64  # once, from memory
TYPICAL_FRAMES = 400  # of a recording in inference: 8 s after a stride of 2
LEAST_GAIN = 1.1  # predicted
SHORTEST_BLOCK, LONGEST_BLOCK = 1.25, 4  # in widths of the kernel; longer blocks save little
BYTES = 4
# transformed kernel and its gradient; transformed inputs, outputs and their gradients
KERNEL_COPIES, ACTIVATION_COPIES = 2, 2
MEMORY_SHARE = 0.25  # of the host's memory for this process


class FastConvolutions:
    """Chooses, convolution by convolution.

    Args:
      enabled: False chooses the direct sum always.
      feature_frames: typical feature frames of the rows of a batch, for graphs that do not know the number; None: such graphs use
        the direct sum.
      total_memory: bytes of the host for this process; a convolution whose transforms need more than ``MEMORY_SHARE`` of it
        uses the direct sum. None: no limit.

    Attributes:
      chosen: dict from the names of the convolutions that use Fourier transforms to their block lengths.
      too_large: dict from the names of those that use the direct sum because of the memory to the bytes that they would need.
    """

    def __init__(self, enabled=True, feature_frames=None, total_memory=None):
        self._enabled, self.feature_frames = enabled, feature_frames
        self._limit = None if total_memory is None else MEMORY_SHARE * total_memory
        self.chosen, self.too_large = {}, {}

    def block(self, name, kernel_shape, batch_size, frames, dilation):
        """The block length of a convolution of stride 1 with SAME padding; None for the direct sum.

        Args:
          name: of the convolution, for messages.
          kernel_shape: (W, Cin, Cout).
          batch_size, frames: of the inputs; None where unknown.
          dilation: int.
        """
        width = kernel_shape[0]
        if not self._enabled or width == 1 or batch_size is None or frames is None:
            return None
        best = cheapest(kernel_shape, batch_size, frames, dilation)
        if best.multiplications * LEAST_GAIN > direct_multiplications(kernel_shape, batch_size, frames):
            return None
        if self._limit is not None and best.memory > self._limit:
            self.too_large[name] = best.memory
            return None
        self.chosen[name] = best.block
        return best.block

    def notes(self):
        """Lines for the log of a training: how many convolutions are fast, and which are too large to be."""
        lines = []
        if self.chosen:
            lines.append("fast_convolutions: %d convolutions by Fourier transforms" % len(self.chosen))
        for name, memory in sorted(self.too_large.items()):
            lines.append("fast_convolutions: %s uses the direct sum: its Fourier transforms would need %.1f GiB, and at most "
                         "%.1f GiB (%d %% of a process's memory) are used for one convolution; a smaller batch needs less" % (
                             name, memory / 2.0 ** 30, self._limit / 2.0 ** 30, round(100 * MEMORY_SHARE)))
        return lines


def cheapest(kernel_shape, batch_size, frames, dilation):
    """The :class:`Cost` of the block length that takes the least time; see :meth:`FastConvolutions.block`."""
    width = kernel_shape[0]
    return min((Cost(kernel_shape, batch_size, frames, dilation, block)
                for block in range(2 * math.ceil(SHORTEST_BLOCK * width / 2), LONGEST_BLOCK * width + 1, 2)),
               key=lambda cost: cost.multiplications)


def inference_block(kernel_shape, frames=TYPICAL_FRAMES):
    """The block length for inference, in which the transformed kernel is a constant that only has to be read.

    A length of 1.5 kernel widths makes the kernel 2.25 times as large, and takes about W / 4 products for a frame instead of W.
    Longer blocks would take fewer, but make a file larger.

    Args:
      kernel_shape: (W, Cin, Cout), of stride 1 and SAME padding.
      frames: int, frames of a typical input.

    Returns:
      An even int, or None where the direct sum is as fast.
    """
    width, input_channels, output_channels = kernel_shape
    cost = Cost(kernel_shape, 1, frames, 1, 2 * math.ceil(0.75 * width))
    multiplications = (cost.rows + KERNEL_READ) * cost.of_kernel + ACTIVATION / 3 * cost.of_activations
    if width == 1 or multiplications * LEAST_GAIN > direct_multiplications(kernel_shape, 1, frames) / 3:
        return None
    return cost.block


class Cost:
    """Time and memory of a convolution by Fourier transforms.

    Args:
      kernel_shape, batch_size, frames, dilation: see ``FastConvolutions.block``.
      block: int, the block length.

    Attributes:
      rows: of all blocks.
      of_kernel, of_activations: numbers of the transformed kernel, and of the transformed inputs and outputs.
      multiplications: processor time of the forward pass and the gradients, in multiplications of a matrix product.
      memory: bytes of the transforms that exist at the same time.
    """

    def __init__(self, kernel_shape, batch_size, frames, dilation, block):
        width, input_channels, output_channels = kernel_shape
        self.block, products = block, products_of(block)
        self.rows = batch_size * dilation * -(-frames // (dilation * (block - width + 1)))
        self.of_kernel = products * input_channels * output_channels
        self.of_activations = products * self.rows * (input_channels + output_channels)
        self.multiplications = (3 * self.rows + KERNEL) * self.of_kernel + ACTIVATION * self.of_activations
        self.memory = BYTES * (KERNEL_COPIES * self.of_kernel + ACTIVATION_COPIES * self.of_activations)


def direct_multiplications(kernel_shape, batch_size, frames):
    """Multiplications of the forward pass and both gradients of the direct sum."""
    width, input_channels, output_channels = kernel_shape
    return 3 * batch_size * frames * width * input_channels * output_channels
