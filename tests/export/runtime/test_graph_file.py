"""Reading a frozen graph node by node gives the same as parsing it at once."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError
from open_seq2seq.export.runtime.graph_file import StoredArray, read_graph

LARGE = np.arange(1 << 15, dtype=np.float32).reshape(128, 256)


@pytest.fixture
def graph_file(graph, tmp_path):
    """(path, GraphDef) of a graph with a large and a small constant, versions and a function library."""
    features = tf.placeholder(tf.float32, [None, 128], "features")
    tf.matmul(features, tf.constant(LARGE, name="large")) + tf.constant(2.0, name="small")
    graph_def = graph.as_graph_def()
    graph_def.library.function.add().signature.name = "f"
    path = tmp_path / "graph.pb"
    path.write_bytes(graph_def.SerializeToString())
    return path, graph_def


def test_the_graph_is_the_same(graph_file):
    path, graph_def = graph_file
    assert read_graph(str(path)) == graph_def
    assert graph_def.versions.producer > 0 and len(graph_def.library.function) == 1


def test_large_constants_become_variables(graph_file):
    path, graph_def = graph_file
    weights = {}
    read = read_graph(str(path), weights)
    assert list(weights) == ["large"] and np.array_equal(weights["large"], LARGE)
    assert isinstance(weights["large"], StoredArray) and weights["large"].shape == (128, 256)
    assert np.asarray(weights["large"]).dtype == np.float32 and np.asarray(weights["large"], np.float64).dtype == np.float64
    operations = {node.name: node.op for node in read.node}
    assert operations["large"] == "VariableV2" and operations["small"] == "Const" and len(operations) == len(graph_def.node)
    assert read.ByteSize() < 10000 < graph_def.ByteSize()


@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[:len(data) // 2], lambda data: b"\xff" * 20 + data,
                                    lambda data: b"%PDF-1.4 " + data, lambda data: b"\x0a\xff\xff\xff\xff\x7f" + data,
                                    lambda data: b"\x0a\x03abc" + data])
def test_a_file_that_is_not_a_graph_is_refused(graph_file, change):
    path, _ = graph_file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match="graph.pb is not a frozen graph: .*Export the model again"):
        read_graph(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="cannot read .*nix.pb: No such file"):
        read_graph(str(tmp_path / "nix.pb"))
