#!/usr/bin/env bash
# KMeans.predict of scikit-learn and vq of SciPy do not find the nearest cluster of float32 features that are far from zero.
#
# Software:  scikit-learn 1.9.1, SciPy 1.17.1
# Seen:      2026-11-30, CPython 3.11, x86-64
# Behavior:  Distances are computed as |x|^2 - 2 x c + |c|^2 in the type of the data. For float32 the large terms cancel, and what is
#            left is rounding. With 39 features of standard deviation 1 and mean 1,000, predict() gives 78 % of the training data another
#            label than labels_ of the same KMeans (which subtracts the mean in fit(), but not in predict()); MiniBatchKMeans subtracts it
#            nowhere: 93 % of its labels_ are not those of the nearest center, and its centers are bad. SciPy's vq is wrong for 65 %. One
#            feature is enough: with mean 7,000 (a time, a frequency, a line number) 63 %. With mean 100 0.2 % differ. There is no warning,
#            and the values of inertia_ look right. With float64 nothing is wrong.
# Hurt:      whoever labels frames by k-means, as for HuBERT: features with a constant dimension (c0, hidden layers of a transformer with
#            a dimension of a few hundred), MiniBatchKMeans on float32 as in fairseq's recipe, and labels_ compared with predict().
# What to do: subtract the mean of the features (or pass float64) before fit() and predict(); compare predict(x) with labels_ once.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
from scipy.cluster.vq import vq
from sklearn.cluster import KMeans, MiniBatchKMeans


def nearest(data, centers):
    data, centers = data.astype(np.float64), centers.astype(np.float64)
    data, centers = data - centers.mean(0), centers - centers.mean(0)
    return ((data ** 2).sum(1)[:, None] - 2 * data @ centers.T + (centers ** 2).sum(1)).argmin(1)


random = np.random.RandomState(0)
features = random.randn(5000, 39)
one = np.concatenate([random.randn(5000, 12), 7000 + random.randn(5000, 1)], axis=1)
as_described = True
for name, data in (("mean 0", features), ("mean 100", features + 100), ("mean 1000", features + 1000), ("one of 13 has 7000", one)):
    is_far = name.endswith("000")
    for kind in (np.float32, np.float64):
        x = data.astype(kind)
        shares = []
        for model in (KMeans(100, random_state=0, n_init=1, max_iter=20),
                      MiniBatchKMeans(100, random_state=0, n_init=1, batch_size=1000, max_iter=20)):
            predicted, right = model.fit(x).predict(x), nearest(x, model.cluster_centers_)
            shares += [np.mean(predicted != model.labels_), np.mean(predicted != right), np.mean(model.labels_ != right)]
        centers = x[:100]
        shares.append(np.mean(vq(x, centers)[0] != nearest(x, centers)))
        print("%-18s %s: KMeans: predict is not labels_ %4.1f %%, not the nearest %4.1f %%, labels_ are not the nearest %4.1f %%; "
              "MiniBatchKMeans: %4.1f, %4.1f, %4.1f %%; vq: not the nearest %4.1f %%" % (
                  (name, np.dtype(kind).name) + tuple(100 * share for share in shares)))
        if kind == np.float64:
            as_described = as_described and max(shares) < 0.001
        elif is_far:
            as_described = (as_described and min(shares[0], shares[1], shares[4], shares[5]) > 0.3 and shares[2] < 0.01
                            and shares[6] > 0.05)
        elif name == "mean 0":
            as_described = as_described and max(shares) < 0.001
sys.exit(0 if as_described else "CHANGED")
PYTHON
