"""Tensors that several threads read are those of TensorFlow's reader."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.tensor_reading import read_tensors
from open_seq2seq.checkpoints.writer import write_checkpoint


@pytest.fixture
def checkpoint(tmp_path):
    random = np.random.RandomState(0)
    values = {"scope/%d" % number: random.standard_normal((number, 3)).astype(np.float32) for number in range(9)}
    values.update(step=np.int64(7), half=np.float16([1.5]), done=np.array([True, False]))
    path = str(tmp_path / "model.ckpt-7")
    write_checkpoint(path, values, {})
    return path


@pytest.mark.parametrize("cores", [1, 2, 64])
def test_the_same_values_as_those_of_the_reader_with_any_number_of_threads(checkpoint, cores, monkeypatch):
    monkeypatch.setattr("open_seq2seq.checkpoints.tensor_reading.usable_cores", lambda: cores)
    reader = tf.train.NewCheckpointReader(checkpoint)
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    for names in (list(shapes), ["step"], ["scope/0", "scope/0", "half"], []):
        tensors = read_tensors(checkpoint, shapes, types, names)
        assert set(tensors) == set(names)
        for name, value in tensors.items():
            expected = np.asarray(reader.get_tensor(name))
            assert np.asarray(value).dtype == expected.dtype
            np.testing.assert_array_equal(value, expected)


def test_a_damaged_tensor_is_an_error_of_tensorflow(checkpoint):
    reader = tf.train.NewCheckpointReader(checkpoint)
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    with open(checkpoint + ".data-00000-of-00001", "rb+") as file:
        content = bytearray(file.read())
        content[len(content) // 2] ^= 1
        file.seek(0)
        file.write(content)
    with pytest.raises(tf.errors.OpError):
        read_tensors(checkpoint, shapes, types, list(shapes))
