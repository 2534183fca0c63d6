"""A few hundred damaged inputs: every reader refuses them with a sentence or reads what they hold."""
import importlib.util
import os

import pytest

from tests.paths import REPOSITORY

specification = importlib.util.spec_from_file_location(
    "mutated_inputs", os.path.join(REPOSITORY, "benchmarks", "mutated_inputs.py"))
mutated_inputs = importlib.util.module_from_spec(specification)
specification.loader.exec_module(mutated_inputs)


COUNTS = [(reader, 300 if reader is mutated_inputs.AudioReader else 40) for reader in mutated_inputs.READERS]


@pytest.mark.parametrize("reader, count", COUNTS, ids=[reader.name for reader, _ in COUNTS])
def test_no_traceback_and_nothing_wrong_in_silence(reader, count):
    outcomes = list(mutated_inputs.try_inputs(reader(), count, seed=1))
    assert [outcome.detail for outcome in outcomes if outcome.result in mutated_inputs.BAD_RESULTS] == []
    results = {outcome.result for outcome in outcomes}
    assert len(outcomes) == count and "refused" in results
