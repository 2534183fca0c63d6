"""Kaldi's input transform of features: like LDA without a reduction of the dimension (arXiv:1410.7455, appendix C.6).

Directions that do not separate the classes are not removed, but scaled down. The order of the operations is that of Kaldi's
``FeatureTransformEstimate``.
"""
import collections

import numpy as np

WITHIN_CLASS_FACTOR = 1e-3
MAX_SINGULAR_VALUE = 5.0
_SMOOTHING = 1e-3   # of the within-class covariance where it is singular, as a share of its mean variance


class TransformStatistics:
    """Counts, sums and second moments of features by class, in float64. Statistics of parts of the data can be added.

    Args:
      num_classes: int.
      size: values of a frame.

    Attributes:
      counts: float64 [classes]. sums: float64 [classes, size]. second_moment: float64 [size, size], of all classes.
    """

    def __init__(self, num_classes, size):
        self.counts, self.sums = np.zeros(num_classes), np.zeros([num_classes, size])
        self.second_moment = np.zeros([size, size])

    def accumulate(self, features, labels, weights=None):
        """Adds frames.

        Args:
          features: float [frames, size].
          labels: int [frames], from 0.
          weights: float [frames]; None: all are 1.
        """
        features = np.asarray(features, np.float64)
        weights = np.ones(len(features)) if weights is None else np.asarray(weights, np.float64)
        weighted = features * weights[:, np.newaxis]
        self.counts += np.bincount(labels, weights, len(self.counts))
        order = np.argsort(labels, kind="stable")
        found, starts = np.unique(np.asarray(labels)[order], return_index=True)
        if len(found):
            self.sums[found] += np.add.reduceat(weighted[order], starts)
        self.second_moment += features.T.dot(weighted)

    def add(self, other):
        """Adds the statistics of another part of the data."""
        self.counts += other.counts
        self.sums += other.sums
        self.second_moment += other.second_moment

    @property
    def count(self):
        """Sum of the weights of all frames."""
        return float(self.counts.sum())


Estimate = collections.namedtuple("Estimate", "transform between_singular_values singular_values singular")
Estimate.__doc__ = """transform: float64 [dim, size + 1], the last column is added to the product with a frame; without
``remove_offset`` [dim, size]. between_singular_values: float64 [size], ratios of variances between and within classes,
descending. singular_values: float64, of the transform before the limit; empty without one. singular: whether the within-class
covariance was singular."""


def estimate_transform(statistics, dim=None, within_class_factor=WITHIN_CLASS_FACTOR, max_singular_value=MAX_SINGULAR_VALUE,
                       remove_offset=True):
    """Estimates the transform.

    Args:
      statistics: TransformStatistics with frames.
      dim: rows to keep; None: all.
      within_class_factor: f; the variance of a row becomes f + s, for the ratio s of its variances between and within classes. 1
        gives LDA.
      max_singular_value: limit of the transform's singular values; 0 or less: none.
      remove_offset: whether the transformed features have mean 0.

    Returns:
      :class:`Estimate`.

    Raises:
      ValueError: there are no frames, or every feature is constant within the classes.
    """
    count, size = statistics.count, statistics.second_moment.shape[0]
    if not count > 0.0:
        raise ValueError("there are no frames")
    mean = statistics.sums.sum(0) / count
    present = statistics.counts > 0
    means = statistics.sums[present] / statistics.counts[present][:, np.newaxis]
    between = (means.T * (statistics.counts[present] / count)).dot(means) - np.outer(mean, mean)
    within = statistics.second_moment / count - np.outer(mean, mean) - between
    within = (within + within.T) / 2
    singular = False
    try:
        cholesky = np.linalg.cholesky(within)
    except np.linalg.LinAlgError:
        singular = True
        cholesky = _smoothed_cholesky(within)
    inverse = np.linalg.inv(cholesky)
    ratio = inverse.dot(between).dot(inverse.T)
    directions, ratios, _ = np.linalg.svd((ratio + ratio.T) / 2)
    rows = size if dim is None else dim
    transform = directions.T.dot(inverse)[:rows]
    if within_class_factor != 1.0:
        transform *= np.sqrt((within_class_factor + ratios[:rows]) / (1.0 + ratios[:rows]))[:, np.newaxis]
    found = np.zeros([0])
    if max_singular_value > 0.0:
        left, found, right = np.linalg.svd(transform, full_matrices=False)
        if found[0] > max_singular_value:
            transform = (left * np.minimum(found, max_singular_value)).dot(right)
    if remove_offset:
        transform = np.concatenate([transform, -transform.dot(mean)[:, np.newaxis]], 1)
    return Estimate(transform, ratios, found, singular)


def _smoothed_cholesky(within):
    variance = np.trace(within) / len(within)
    if not variance > 0.0:
        raise ValueError("all features are constant within the classes")
    return np.linalg.cholesky(within + np.eye(len(within)) * _SMOOTHING * variance)


def splice(features, left, right):
    """Frames next to each other as one: [x(t - left), ..., x(t + right)]; those beyond the ends are 0.

    Args:
      features: float [frames, F].
      left, right: ints.

    Returns:
      float [frames, (left + 1 + right) * F].
    """
    frames = len(features)
    padded = np.pad(features, [(left, right), (0, 0)], mode="constant")
    return np.concatenate([padded[place:place + frames] for place in range(left + 1 + right)], 1)
