"""Non-negative weights of several networks that sum to one, found by gradient descent on the loss of their weighted mean.

The idea is that of Kaldi's nnet3-combine. The networks of one training are in one basin, so the loss of their weighted mean is a
smooth function of one number per network. Its gradient by the weight of a network is the scalar product of that network with the
gradient by the parameters: one backward pass for all networks.
"""
import collections

import numpy as np

Combination = collections.namedtuple("Combination", "weights loss evaluations")
Combination.__doc__ = """weights: float64 [K], at least 0, of sum 1. loss: at these weights. evaluations: of the loss, in all."""

# with ten networks it has converged after about a dozen
MAX_EVALUATIONS = 30
_TOLERANCE = 1e-4  # relative to the loss at the start


class _EnoughEvaluations(Exception):
    pass


def combined(networks, weights):
    """The weighted mean of networks.

    Args:
      networks: list of dicts name -> array.
      weights: one number for each.

    Returns:
      Dict name -> float32 array; variables that are not floating-point are those of the last network.
    """
    mean = {}
    for name, last in networks[-1].items():
        if not np.issubdtype(last.dtype, np.floating):
            mean[name] = last
            continue
        total = np.zeros(last.shape, np.float64)
        for network, weight in zip(networks, weights):
            if weight:
                total += weight * network[name]
        mean[name] = total.astype(np.float32)
    return mean


def optimized_weights(networks, loss_and_gradient, start, max_evaluations=MAX_EVALUATIONS, report=None):
    """Minimizes the loss of a weighted mean of networks over its weights.

    Args:
      networks: list of K dicts name -> array.
      loss_and_gradient: function from such a dict to (loss, dict name -> gradient).
      start: float [K], initial weights.
      max_evaluations: limit of evaluations of the loss and its gradient.
      report: function of (number of evaluations, loss, weights), called with each; or None.

    Returns:
      Combination: the best of all evaluations; the start if none is better.
    """
    # scipy's optimizers are slow to import, and only this function needs one
    from scipy.optimize import minimize
    seen = []

    def function(point):
        weights = on_simplex(point)
        if len(seen) >= max_evaluations:
            raise _EnoughEvaluations()
        loss, gradients = loss_and_gradient(combined(networks, weights))
        seen.append(Combination(weights, loss, len(seen) + 1))
        if report is not None:
            report(len(seen), loss, weights)
        by_weight = np.array([sum(float(np.vdot(gradient, network[name])) for name, gradient in gradients.items())
                              for network in networks])
        scale = max(abs(seen[0].loss), 1e-9)
        if not (np.isfinite(loss) and np.isfinite(by_weight).all()):
            raise _EnoughEvaluations()
        # the gradient of the loss at point / point.sum(), which are the weights
        return loss / scale, (by_weight - weights.dot(by_weight)) / scale

    try:
        minimize(function, on_simplex(start), jac=True, method="SLSQP", bounds=[(0.0, 1.0)] * len(networks),
                 constraints=[{"type": "eq", "fun": lambda point: point.sum() - 1.0, "jac": np.ones_like}],
                 options={"ftol": _TOLERANCE, "maxiter": max_evaluations})
    except _EnoughEvaluations:
        pass
    best = min((one for one in seen if np.isfinite(one.loss)), key=lambda one: one.loss, default=seen[0])
    return best._replace(evaluations=len(seen))


def on_simplex(point):
    """Weights that are at least 0 and sum to 1, from a point that rounding has moved off the simplex."""
    weights = np.maximum(np.asarray(point, np.float64), 0.0)
    return weights / weights.sum()
