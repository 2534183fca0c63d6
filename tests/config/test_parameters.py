from open_seq2seq.config.parameters import (
    Bool,
    Callable,
    Choice,
    Dict,
    Either,
    FilePath,
    Float,
    Int,
    List,
    Parameter,
    Report,
    String,
    Struct,
    check_parameters,
)

LAYER = (Parameter("num_channels", Int(minimum=1)), Parameter("stride", List(Int(minimum=1), length=1), default=[1]))
PARAMETERS = (
    Parameter("rate", Float(above=0.0)),
    Parameter("mask", Bool(), default=True),
    Parameter("layers", List(Struct(LAYER), minimum_length=1), default=[{"num_channels": 1, "stride": [1]}]),
    Parameter("loss_scaling", Either(Float(minimum=1.0), Choice("Backoff", "LogMax", fold_case=True)), default=1.0),
    Parameter("use_trt", Bool(), ignored="TensorRT is not used here"),
    Parameter("window", Choice("hanning", "hamming"), default="hanning"),
    Parameter("old_rate", Float(), replaced_by="rate"),
    Parameter("limit", Int(), default=None),
    Parameter("activation", Callable(), default=None),
    Parameter("extra", Dict(), default={}),
    Parameter("path", String(), default=""),
)


def check(values):
    report = Report()
    return check_parameters(PARAMETERS, values, "base_params", report), report


def test_defaults_are_filled_in_and_an_int_serves_as_a_float():
    checked, report = check({"rate": 1})
    assert report.problems == []
    assert checked["rate"] == 1.0 and isinstance(checked["rate"], float)
    assert checked["mask"] is True and checked["limit"] is None and "use_trt" not in checked


def test_defaults_are_not_shared_between_runs():
    first, _ = check({"rate": 1})
    first["layers"][0]["num_channels"] = 99
    second, _ = check({"rate": 1})
    assert second["layers"][0]["num_channels"] == 1


def test_all_mistakes_are_reported_at_once_with_their_key_paths():
    _, report = check({"mask": 1, "layers": [{"num_channels": 4}, {"num_chanels": 4}], "windw": "hanning"})
    assert report.problems == [
        'base_params["mask"] is 1 (int), expected True or False',
        'base_params["layers"][1]["num_chanels"] is unknown (did you mean "num_channels"?)',
        'base_params["layers"][1]["num_channels"] is missing; expected an integer at least 1',
        'base_params["windw"] is unknown (did you mean "window"?)',
        'base_params["rate"] is missing; expected a number above 0.0',
    ]


def test_bool_and_nan_are_not_numbers():
    _, report = check({"rate": True})
    assert report.problems == ['base_params["rate"] is True (bool), expected a number above 0.0']
    _, report = check({"rate": float("nan")})
    assert len(report.problems) == 1


def test_a_number_that_float32_cannot_hold_is_refused():
    for value in (float("inf"), 1e39):
        _, report = check({"rate": value})
        assert report.problems == ['base_params["rate"] is %r, expected a number above 0.0 that float32 can hold (at most 3.4e38)'
                                   % value]
    checked, report = check({"rate": 3.4e38})
    assert checked["rate"] == 3.4e38 and not report.problems


def test_choices_fold_case_only_where_declared_and_suggest():
    checked, report = check({"rate": 1, "loss_scaling": "backoff"})
    assert checked["loss_scaling"] == "Backoff" and not report.problems
    _, report = check({"rate": 1, "window": "haning"})
    assert report.problems == [
        "base_params[\"window\"] is 'haning', expected one of 'hanning', 'hamming' (did you mean 'hanning'?)"]


def test_ignored_keys_are_noted():
    _, report = check({"rate": 1, "use_trt": True})
    assert report.problems == []
    assert report.notes == ['base_params["use_trt"] has no effect: TensorRT is not used here']


def test_an_older_name_sets_the_newer_one_and_both_together_are_refused():
    checked, report = check({"old_rate": 2})
    assert checked["rate"] == 2.0 and not report.problems
    _, report = check({"old_rate": 2, "rate": 1})
    assert report.problems == ['base_params["old_rate"] and "rate" are the same parameter; keep one']


def test_none_is_accepted_only_where_it_is_the_default():
    checked, report = check({"rate": 1, "limit": None})
    assert checked["limit"] is None and not report.problems
    _, report = check({"rate": None})
    assert len(report.problems) == 1


def test_open_ranges():
    decay = (Parameter("decay", Float(above=0.0, below=1.0), default=None),)
    for value in (0.0, 1.0, 1, -0.5, float("nan"), float("inf")):
        report = Report()
        check_parameters(decay, {"decay": value}, "base_params", report)
        assert report.problems == ['base_params["decay"] is %r (%s), expected a number above 0.0 and below 1.0' % (
            value, type(value).__name__)]
    report = Report()
    assert check_parameters(decay, {"decay": 0.999}, "base_params", report) == {"decay": 0.999} and not report.problems


def test_a_tilde_in_a_path_is_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    parameters = (Parameter("logdir", FilePath(), default=None),
                  Parameter("files", Either(List(FilePath(), minimum_length=1), FilePath()), default=None))
    for given, expected in (({"logdir": "~/run"}, "/home/somebody/run"), ({"logdir": "runs/~"}, "runs/~"),
                            ({"files": ["~/a.csv", "b.csv"]}, ["/home/somebody/a.csv", "b.csv"]),
                            ({"files": "~/a.csv"}, "/home/somebody/a.csv")):
        report = Report()
        checked = check_parameters(parameters, given, "base_params", report)
        assert not report.problems and checked[next(iter(given))] == expected
    report = Report()
    check_parameters(parameters, {"logdir": "~nobody-at-all/run", "files": "a\0b"}, "base_params", report)
    assert report.problems == [
        'base_params["logdir"] is \'~nobody-at-all/run\', which starts with ~nobody-at-all, but there is no such user; '
        "write ./~nobody-at-all/run for a file of that name",
        'base_params["files"] is \'a\\x00b\', which contains a NUL character, and no file name can']
