#!/usr/bin/env bash
# Arrays of kaldi_native_io's readers are views that lose their content with the next utterance: dict(reader) holds wrong numbers.
#
# Software:  kaldi_native_io 1.23.0; kaldiio 2.18.1 as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  SequentialFloatMatrixReader, SequentialFloatVectorReader and their random access versions return NumPy arrays that use the
#            reader's own memory, which is given back when the reader moves to the next entry. dict(reader), a list of its items or
#            features = {name: reader[name] for name in names} then have arrays of the right shape with other content: values of 10^35, of
#            a different utterance, or right by chance. Inside of the loop the values are right. Readers of integer vectors return lists
#            and are safe. No error, no warning; the documentation shows only loops that compare at once.
# Hurt:      whoever collects features, statistics, speaker vectors or scores before using them (to sort by length, to batch, to average).
# What to do: keep value.copy(), or FloatMatrix.read(address).numpy() for one entry of an scp file; kaldiio's arrays can be kept.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages kaldi_native_io==1.23.0 kaldiio==2.18.1 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import kaldi_native_io as native
import kaldiio
import numpy as np

generator = np.random.default_rng(0)
written = {"utterance%d" % index: generator.standard_normal((50 + 10 * index, 80)).astype(np.float32) for index in range(6)}
with native.FloatMatrixWriter("ark,scp:features.ark,features.scp") as writer:
    for name, features in written.items():
        writer.write(name, features)


def right(kept):
    return sum(np.array_equal(kept[name], features) for name, features in written.items())


in_loop = 0
for name, features in native.SequentialFloatMatrixReader("scp:features.scp"):
    in_loop += np.array_equal(features, written[name])
by_dict = dict(native.SequentialFloatMatrixReader("scp:features.scp"))
shapes = sum(by_dict[name].shape == features.shape for name, features in written.items())
reader = native.RandomAccessFloatMatrixReader("scp:features.scp")
found = {"in the loop": in_loop, "dict(reader), shape": shapes, "dict(reader)": right(by_dict),
         "random access": right({name: reader[name] for name in written}),
         "copies": right({name: features.copy() for name, features in native.SequentialFloatMatrixReader("scp:features.scp")}),
         "kaldiio": right(dict(kaldiio.load_scp("features.scp")))}
for name, count in found.items():
    print("%-20s %d of %d utterances right" % (name, count, len(written)))
as_described = (all(found[name] == 6 for name in ("in the loop", "dict(reader), shape", "copies", "kaldiio"))
                and found["dict(reader)"] < 6 and found["random access"] < 6)
sys.exit(0 if as_described else "CHANGED")
PYTHON
