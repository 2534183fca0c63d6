"""The input transform against numbers of Kaldi's FeatureTransformEstimate."""
import json
import os

import numpy as np
import pytest

from open_seq2seq.pretraining.feature_transform import TransformStatistics, estimate_transform, splice

CASES = ("default", "no_offset", "dim4", "lda", "ceiling", "weights", "few_classes", "singular")


@pytest.fixture(scope="module")
def kaldi(goldens):
    folder = os.path.join(goldens, "kaldi")
    with open(os.path.join(folder, "feature_transform.json")) as file:
        return np.load(os.path.join(folder, "feature_transform.npz")), json.load(file)


def _statistics(arrays, case, parts=1):
    features, labels = arrays[case + "/features"], arrays[case + "/labels"]
    weights = arrays[case + "/weights"] if case + "/weights" in arrays else None
    total = TransformStatistics(int(labels.max()) + 1, features.shape[1])
    for part in np.array_split(np.arange(len(labels)), parts):
        one = TransformStatistics(len(total.counts), features.shape[1])
        one.accumulate(features[part], labels[part], None if weights is None else weights[part])
        total.add(one)
    return total


def _relative(found, expected):
    return np.abs(found - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("case", CASES)
def test_transform_is_kaldis(kaldi, case):
    arrays, descriptions = kaldi
    options = dict(descriptions[case]["options"])
    if "remove_offset" in options:
        options["remove_offset"] = options["remove_offset"] != "false"
    expected = arrays[case + "/transform"].astype(np.float64)
    for parts in (1, 7):
        found = estimate_transform(_statistics(arrays, case, parts), **options)
        assert found.transform.shape == expected.shape
        if case == "singular":
            # the numbers of a direction without variance are noise
            assert np.isfinite(found.transform).all()
            assert np.linalg.svd(found.transform[:, :-1])[1].max() <= 5.0 + 1e-6
            continue
        np.testing.assert_allclose(found.between_singular_values, arrays[case + "/between_singular_values"], rtol=1e-5, atol=1e-6)
        if case == "few_classes":
            # rows without variance between classes are an arbitrary rotation
            assert _relative(found.transform.T.dot(found.transform), expected.T.dot(expected)) < 1e-6
        rows = 2 if case == "few_classes" else len(expected)
        signs = np.sign((found.transform * expected).sum(1, keepdims=True))
        assert _relative((found.transform * signs)[:rows], expected[:rows]) < 1e-6


def test_variances_are_those_of_the_appendix(kaldi):
    """The total variance of a row is f + s."""
    arrays, _ = kaldi
    found = estimate_transform(_statistics(arrays, "default"), max_singular_value=0.0, within_class_factor=0.01)
    transformed = arrays["default/features"].dot(found.transform[:, :-1].T) + found.transform[:, -1]
    np.testing.assert_allclose(transformed.mean(0), 0.0, atol=1e-6)
    np.testing.assert_allclose(transformed.var(0), 0.01 + found.between_singular_values, rtol=1e-5)
    assert found.singular_values.size == 0


def test_constant_features_and_no_frames():
    statistics = TransformStatistics(2, 3)
    with pytest.raises(ValueError, match="no frames"):
        estimate_transform(statistics)
    statistics.accumulate(np.ones([4, 3]), np.array([0, 0, 1, 1]))
    with pytest.raises(ValueError, match="constant"):
        estimate_transform(statistics)
    assert splice(np.array([[1.0], [2.0], [3.0]]), 1, 2).tolist() == [[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 0]]
