"""An importer run as its command runs it."""
import csv

import pytest

from open_seq2seq.data.importers import __main__
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.speech2text.manifest import read_manifest


@pytest.fixture
def imported(tmp_path, capsys):
    """Function (command line without --output) -> (dict manifest -> rows, list of (name, reason) of what is skipped)."""
    def run(*words, limit="1", status=0):
        output = tmp_path / "out"
        arguments = [str(word) for word in words] + ["--output", str(output), "--workers", "1", "--max_skipped", limit]
        assert run_importer(__main__.main, arguments) == status, capsys.readouterr().err
        found = {path.stem: read_manifest(str(path)) for path in sorted(output.glob("*.csv")) if path.name != "skipped.csv"}
        skips = []
        if (output / "skipped.csv").exists():
            with open(str(output / "skipped.csv"), newline="", encoding="utf-8") as file:
                skips = [(row["name"], row["reason"]) for row in csv.DictReader(file)]
        return found, skips
    return run
