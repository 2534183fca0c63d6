"""Graphs that a newer TensorFlow exports can be loaded by TensorFlow 1.15, the oldest supported version."""
import json
import os
import subprocess

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from open_seq2seq.export import load_model
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from tests.export.networks import layer, trained_model
from tests.paths import REPOSITORY

OLDEST = os.path.join(REPOSITORY, ".venv", "bin", "python")  # of scripts/setup.sh, with TensorFlow 1.15.0
SEPARABLE = [layer(stride=[2]), layer(type="sep_conv1d", repeat=2, residual=True, residual_dense=True)]
# each has operations with attributes that TensorFlow 2.21 has added: MatMul, FusedBatchNormV3, DepthwiseConv2dNative, and
# TensorListGetItem in the function of a loop
EXPORTS = {"separable": (dict(layers=SEPARABLE), ExportOptions(1, 160)),
           "evaluation graph": ({}, ExportOptions(None, None, folded=False)),
           "features": (dict(data={"backend": "psf"}), ExportOptions(2, 160, with_features=True)),
           "features in a loop": ({}, ExportOptions(None, None, with_features=True))}
if tf.__version__.startswith("1."):
    # no attributes are removed there, and this one has most of the operations
    EXPORTS = {"features in a loop": EXPORTS["features in a loop"]}
WAVEFORM = np.random.RandomState(2).uniform(-0.3, 0.3, 12000).astype(np.float32)
LOAD = """
import sys
import numpy as np
from open_seq2seq.export import load_model
waveform, *folders = sys.argv[1:]
for folder in folders:
    with load_model(folder) as model:
        np.save(folder + "/logits.npy", model.logits_of_audio([np.load(waveform)])[0])
"""


def operations_of_tensorflow_1_15():
    """Dict from the operations in this project's exports to the names of their attributes in TensorFlow 1.15.0."""
    with open(os.path.join(REPOSITORY, "tests", "fixtures", "tensorflow_1_15_operations.json")) as file:
        return json.load(file)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Dict from a name of EXPORTS to the folder of that export."""
    folders = {}
    for name, (network, options) in EXPORTS.items():
        folders[name] = str(tmp_path_factory.mktemp("export"))
        export_model(trained_model(folders[name], **network), options, folders[name], ("saved_model",))
    return folders


def nodes_of(graph_def):
    functions = {function.signature.name for function in graph_def.library.function}
    nodes = list(graph_def.node) + [node for function in graph_def.library.function for node in function.node_def]
    return [node for node in nodes if node.op not in functions]


def test_exports_have_only_operations_and_attributes_of_tensorflow_1_15(exported):
    known = operations_of_tensorflow_1_15()
    for name, folder in exported.items():
        with open(os.path.join(folder, "jasper_infer_float32.pb"), "rb") as file:
            graph_def = tf.GraphDef.FromString(file.read())
        with open(os.path.join(folder, "saved_model", "1", "saved_model.pb"), "rb") as file:
            saved = SavedModel.FromString(file.read())
        for node in nodes_of(graph_def) + nodes_of(saved.meta_graphs[0].graph_def):
            # attributes with an underscore are of no operation and ignored where they are unknown
            unknown = [attribute for attribute in node.attr if not attribute.startswith("_")
                       and attribute not in known.get(node.op, ())]
            assert node.op in known and not unknown, (name, node.op, unknown)


def test_the_known_attributes_are_registered():
    from tensorflow.python.framework import op_def_registry
    if tf.__version__.startswith("1."):
        find = op_def_registry.get_registered_ops().get
    else:
        find = op_def_registry.get
    for operation, attributes in operations_of_tensorflow_1_15().items():
        registered = {attribute.name for attribute in find(operation).attr}
        # newer versions have more
        assert registered == set(attributes) if tf.__version__.startswith("1.") else registered.issuperset(attributes), operation


@pytest.mark.skipif(tf.__version__.startswith("1."), reason="loads exports of a newer TensorFlow")
def test_tensorflow_1_15_computes_the_same_logits(exported, tmp_path):
    if not os.path.exists(OLDEST):
        pytest.skip("bash scripts/setup.sh creates the environment with TensorFlow 1.15.0")
    np.save(str(tmp_path / "waveform.npy"), WAVEFORM)
    done = subprocess.run([OLDEST, "-c", LOAD, str(tmp_path / "waveform.npy")] + list(exported.values()), cwd=REPOSITORY,
                          capture_output=True, text=True, timeout=300, env=dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"))
    assert done.returncode == 0, done.stderr
    for name, folder in exported.items():
        with load_model(folder) as model:
            expected = model.logits_of_audio([WAVEFORM])[0]
        np.testing.assert_allclose(np.load(os.path.join(folder, "logits.npy")), expected, err_msg=name,
                                   atol=1e-5 * np.abs(expected).max())
