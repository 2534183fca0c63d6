"""The rules of convnet_layers and the number of frames that a stack outputs."""
import pytest

from open_seq2seq.config.parameters import Report
from open_seq2seq.encoders.convnet_layers import ConvnetLayers, convolved_frames


def layer(**changes):
    return dict({"type": "conv1d", "repeat": 1, "kernel_size": [3], "stride": [1], "num_channels": 4, "padding": "SAME",
                 "dilation": [1]}, **changes)


def check(*layers):
    report = Report()
    return ConvnetLayers().check(list(layers), 'encoder_params["convnet_layers"]', report), report


def test_defaults_are_filled_in():
    checked, report = check({"type": "conv1d", "kernel_size": [3], "num_channels": 4})
    assert not report.problems
    assert checked == [{"type": "conv1d", "repeat": 1, "kernel_size": [3], "stride": [1], "num_channels": 4, "padding": "SAME",
                        "dilation": [1], "dropout_keep_prob": None, "residual": False, "residual_dense": False}]


def test_a_misspelled_key_names_the_layer():
    _, report = check(layer(), {"type": "conv1d", "kernel_size": [3], "num_chanels": 4})
    assert any('encoder_params["convnet_layers"][1]["num_chanels"] is unknown (did you mean "num_channels"?)' in problem
               for problem in report.problems)


def test_stride_with_dilation_is_refused():
    _, report = check(layer(stride=[2], dilation=[2]))
    assert report.problems == [
        'encoder_params["convnet_layers"][0] has stride 2 and dilation 2, expected one of them to be 1']


def test_residual_over_a_stride_is_refused():
    _, report = check(layer(stride=[2], residual=True))
    assert len(report.problems) == 1 and "[0] is residual" in report.problems[0]


def test_dense_residual_over_an_earlier_valid_block_is_refused():
    dense = {"residual": True, "residual_dense": True}
    _, report = check(layer(stride=[2]), layer(**dense), layer(padding="VALID"), layer(**dense))
    assert len(report.problems) == 1
    assert "[3] is residual and adds the input of layer 1, but layer 2 changes the number of frames" in report.problems[0]


def test_plain_residual_after_a_stride_is_fine():
    _, report = check(layer(stride=[2]), layer(residual=True), layer(residual=True))
    assert not report.problems


def test_empty_list_is_refused():
    _, report = check()
    assert "expected a list of at least one layer" in report.problems[0]


@pytest.mark.parametrize("changes, frames, expected", [
    ({}, 7, 7),
    ({"stride": [2]}, 7, 4),
    ({"stride": [2]}, 8, 4),
    ({"padding": "VALID"}, 7, 5),
    ({"padding": "VALID", "stride": [2]}, 7, 3),
    ({"padding": "VALID", "dilation": [3]}, 7, 1),
    ({"padding": "VALID", "dilation": [3]}, 6, 0),
    ({"padding": "VALID", "dilation": [3]}, 2, 0),
    ({"padding": "VALID", "kernel_size": [1]}, 7, 7),
])
def test_convolved_frames(changes, frames, expected):
    checked, report = check(layer(**changes))
    assert not report.problems
    assert convolved_frames(checked[0], frames) == expected
