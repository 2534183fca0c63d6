"""A vocabulary of subwords from the transcripts to the exported model, in Kyrgyz and Chinese."""
import csv
import glob
import json
import os
import subprocess
import sys

import pytest

from open_seq2seq.files import file_digest
from open_seq2seq.text.vocabulary import Vocabulary
from tests.end_to_end.conftest import write_manifest
from tests.paths import REPOSITORY

pytest.importorskip("sentencepiece", reason="bash scripts/setup.sh --data installs sentencepiece")
pytestmark = pytest.mark.slow

LANGUAGES = {"Kyrgyz": ({"one": "бирөө", "two": "экөө", "six": "алтоо"}, " "),
             "Chinese": ({"one": "一个", "two": "两个", "six": "六十个"}, "")}
TRANSCRIBE = """if True:
    import runpy, sys
    sys.modules["sentencepiece"] = None  # not installed
    runpy.run_module("open_seq2seq.transcribe", run_name="__main__", alter_sys=True)
"""


def translate(path, words, separator):
    with open(str(path), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    write_manifest(path, [(row["wav_filename"], row["wav_filesize"],
                           separator.join(words[word] for word in row["transcript"].split()),
                           "Osh" if number % 2 else "Talas") for number, row in enumerate(rows)],
                   ("wav_filename", "wav_filesize", "transcript", "accent"))


def command(folder, *arguments):
    done = subprocess.run([sys.executable] + list(arguments), cwd=str(folder), capture_output=True, timeout=240,
                          env=dict(os.environ, PYTHONPATH=REPOSITORY, PYTHONIOENCODING="utf-8"))
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("utf-8")


@pytest.mark.parametrize("language, model_type", [("Kyrgyz", "unigram"), ("Chinese", "bpe")])
def test_from_transcripts_to_an_exported_model(corpus, run_here, language, model_type):
    for name in ("train.csv", "dev.csv"):
        translate(corpus / name, *LANGUAGES[language])
    # the config makes the command import TensorFlow, after which SentencePiece cannot train in the same process
    command(corpus, os.path.join(REPOSITORY, "scripts", "make_vocab.py"), "--config_file=config.py", "--subwords=12",
            "--model_type=" + model_type, "--output=v.model")
    vocabulary = Vocabulary.from_file(str(corpus / "v.model"))
    assert vocabulary.size == 12

    options = ["--data_layer_params/vocab_file=v.model", "--data_layer_params/bpe=True", "--max_steps=2", "--eval_steps=2",
               "--save_checkpoint_steps=2"]
    done = run_here("--mode=train_eval", *options)
    assert done.status == 0, done.err
    kept, = glob.glob(str(corpus / "run" / "subwords-*.model"))
    assert file_digest(kept) == file_digest(str(corpus / "v.model"))
    done = run_here("--mode=eval", "--group_by=accent", *options)
    assert done.status == 0 and "Talas" in (corpus / "run" / "report" / "eval.txt").read_text(encoding="utf-8"), done.err

    # the same pieces with other scores divide texts in another way
    (corpus / "w.model").write_bytes((corpus / "v.model").read_bytes() + b"\x12\x00")
    done = run_here("--mode=eval", "--data_layer_params/vocab_file=w.model")
    assert done.status == 3 and "another subword model" in done.err and os.path.basename(kept) in done.err

    done = run_here("--mode=export", "--export_dir=export", "--frames=dynamic", *options)
    assert done.status == 0, done.err
    with open(str(corpus / "export" / "jasper_infer_float32.json"), encoding="utf-8") as file:
        description = json.load(file)
    assert description["vocabulary"] == list(vocabulary.characters)
    exported = file_digest(str(corpus / "export" / "jasper_infer_float32.model"))
    assert description["sha256"]["model"] == exported == vocabulary.sha256

    (corpus / "transcribe.py").write_text(TRANSCRIBE)
    arguments = ["--format=json", "--output=-", "wav/dev0.wav"]
    texts = [json.loads(command(corpus, "transcribe.py", "--model=" + model, *arguments))["text"] for model in ("export", "run")]
    assert texts[0] == texts[1] and vocabulary.alphabet.issuperset(texts[0])
