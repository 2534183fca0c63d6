#!/usr/bin/env bash
# load_dataset("csv") and load_dataset("json") of Hugging Face change transcripts and ids: the German word for zero disappears.
#
# Software:  datasets 5.2.0 with pandas 3.1.1 and pyarrow 26.0.1
# Seen:      2026-11-30, CPython 3.11
# Behavior:  The type of a column is guessed from its values, by pandas for CSV, by pyarrow for JSON lines. In CSV, a transcript that is
#            "null" (zero in German, Danish and Norwegian), "None", "NA", "n/a" or "nan" (grandmother, bread) becomes None, also with
#            quotes around it; "null null" stays. If all transcripts are digits, "007" becomes the integer 7; if all are "true" or
#            "false", booleans. In JSON, where types are written, strings of the form "2020-01-02" or "2020-01-02 10:11:12", such as ids of
#            recordings, become datetime objects, unless one of them has another form; the type of a column depends on the file. With
#            features=Features({"id": Value("string")}) they are converted back, and "2020-01-02" is "2020-01-02 00:00:00".
# Hurt:      whoever trains on spoken digits or commands: utterances lose their transcript without a message, and filters for missing values
#            then remove each single zero. Joins by an id fail, or find other rows.
# What to do: CSV: pass features=Features({...: Value("string")}) and keep_default_na=False. JSON: Dataset.from_list(...) of
#            what json.loads makes of the lines. Both are shown. Count None afterwards.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages datasets==5.2.0 pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
export HF_HUB_OFFLINE=1 HF_HOME="$folder/cache"
"$python" - <<'PYTHON'
import csv
import json
import sys

import datasets

datasets.disable_progress_bars()


def from_csv(transcripts, quoting=csv.QUOTE_MINIMAL, **options):
    with open("train.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, quoting=quoting)
        writer.writerow(["transcript"])
        writer.writerows([text] for text in transcripts)
    return list(datasets.load_dataset("csv", data_files="train.csv", split="train", **options)["transcript"])


def from_json(ids, **options):
    with open("train.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"id": one}) + "\n" for one in ids)
    return list(datasets.load_dataset("json", data_files="train.jsonl", split="train", **options)["id"])


def strings(name):
    return datasets.Features({name: datasets.Value("string")})


def shown(given, read, note=""):
    print("%-62s -> %s%s" % (given, read, note))
    return read


digits, numbers, answers = ["null", "eins", "null null", "None", "nan"], ["007", "012", "300"], ["true", "false", "true"]
days, mixed = ["2020-01-02", "2020-01-03"], ["2020-01-02", "2020-01-03b"]
times = ["2020-01-02 10:11:12", "2020-01-02 10:12:30"]
lost = [None, "eins", "null null", None, None]
as_described = shown(digits, from_csv(digits)) == lost
as_described &= shown(digits, from_csv(digits, csv.QUOTE_ALL), " (quoted)") == lost
as_described &= shown(digits, from_csv(digits, features=strings("transcript")), " (as strings)") == lost
as_described &= shown(digits, from_csv(digits, features=strings("transcript"), keep_default_na=False), " (and keep_default_na)") == digits
as_described &= shown(numbers, from_csv(numbers)) == [7, 12, 300]
as_described &= shown(numbers, from_csv(numbers, features=strings("transcript")), " (as strings)") == numbers
as_described &= shown(answers, from_csv(answers)) == [True, False, True]
for given in (days, times):
    as_described &= all(hasattr(one, "year") for one in shown(given, from_json(given)))
    as_string = shown(given, from_json(given, features=strings("id")), " (as strings)")
    as_described &= as_string == (given if given is times else [day + " 00:00:00" for day in days])
    as_described &= shown(given, list(datasets.Dataset.from_list([{"id": one} for one in given])["id"]), " (from_list)") == given
as_described &= shown(mixed, from_json(mixed)) == mixed
sys.exit(0 if as_described else "CHANGED")
PYTHON
