"""The keys and flags of decoding: defaults, OpenSeq2Seq's spellings, and what is said about wrong ones."""
import argparse

import pytest

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.decoders.fully_connected import FullyConnectedCTCDecoder
from open_seq2seq.decoding.options import (
    add_decoding_arguments,
    check_rules,
    default_options,
    options_from_arguments,
    options_from_config,
)
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment


def options_of(**decoder_params):
    report = Report()
    checked = check_parameters(FullyConnectedCTCDecoder.PARAMETERS, decoder_params, "decoder_params", report)
    if not report.problems:
        check_rules(checked, "decoder_params", report)
    report.raise_problems()
    return options_from_config(checked), report.notes


def test_without_keys_it_is_greedy():
    assert options_of()[0] == options_from_config({}) == default_options()
    assert default_options().decoding == "greedy" and default_options().lm_path is None


# the decoder of Wav2Letter+ and of the first Wav2Letter of OpenSeq2Seq
NVIDIAS = {"use_language_model": True, "beam_width": 512, "alpha": 2.0, "beta": 1.5, "decoder_library_path": "libctc.so",
           "lm_path": "4-gram.binary", "trie_path": "trie.binary", "alphabet_config_path": "vocab.txt", "trie_weight": 0.1}
OLDER = {"use_language_model": True, "lm_weight": 2.0, "word_count_weight": 1.5, "valid_word_count_weight": 2.5,
         "lm_binary_path": "4-gram.binary", "lm_trie_path": "trie", "beam_width": 512}


@pytest.mark.parametrize("params", [NVIDIAS, OLDER])
def test_the_keys_of_openseq2seq(params):
    options, notes = options_of(**params)
    assert (options.decoding, options.lm_path, options.beam_width, options.alpha, options.beta) == (
        "beam", "4-gram.binary", 512, 2.0, 1.5)
    ignored = {"decoder_library_path", "trie_path", "alphabet_config_path", "trie_weight", "valid_word_count_weight",
               "lm_trie_path"} & set(params)
    assert sorted(note.partition(" ")[0] for note in notes) == sorted('decoder_params["%s"]' % key for key in ignored)
    options, notes = options_of(**dict(params, use_language_model=False))
    assert options.decoding == "greedy" and any("lm" in note and "greedily" in note for note in notes)
    # what --decoder beam does to such a config
    assert options_of(**dict(params, use_language_model=False, decoding="beam"))[0].decoding == "beam"


@pytest.mark.parametrize("params, parts", [
    ({"use_language_model": True}, ["use_language_model", "lm_path is missing"]),
    ({"decoding": "bean"}, ["did you mean 'beam'"]),
    ({"beam_width": 0}, ["beam_width", "at least 1"]),
    ({"alpha": "much"}, ["alpha", "'much' (str)", "expected a number"]),
    ({"alpha": -1.0}, ["alpha", "at least 0"]),
    ({"alpha": float("nan")}, ["alpha"]),
    ({"cutoff_prob": 0.0}, ["cutoff_prob", "above 0"]),
    ({"hot_words": {"": 3.0}}, ["hot_words", "expected words with weights"]),
    ({"hot_words": {"cat": "high"}}, ["cat", "'high' (str)", "expected a number"]),
    ({"hot_words": 7}, ["hot_words", "expected words with weights"]),
    ({"decoding": "beam", "lexicon": "words.txt"}, ["lexicon", "lm_path is missing"]),
    ({"decoding": "beam", "lm_path": "a", "lexicon": False, "search_library": "coqui"}, ["search_library", "'pyctcdecode'"]),
    ({"lm_path": "a", "lm_binary_path": "b"}, ["same parameter"]),
])
def test_wrong_keys(params, parts):
    with pytest.raises(ConfigError) as caught:
        options_of(**params)
    assert all(part in str(caught.value) for part in parts), str(caught.value)


@pytest.mark.parametrize("value", [{"a cat": 10.0, "dog": 2.5}, "a  cat,dog:2.5"])
def test_hot_words(value):
    assert options_of(hot_words=value)[0].hot_words == {"a cat": 10.0, "dog": 2.5}
    assert options_of(hot_words=["dog"])[0].hot_words == {"dog": 10.0}


def of_flags(*words):
    parser = argparse.ArgumentParser()
    add_decoding_arguments(parser)
    return options_from_arguments(parser.parse_args(words))


def test_flags():
    assert of_flags() == default_options()
    assert of_flags("--decoder", "greedy") == default_options()
    assert of_flags("--decoder", "beam", "--beam_width", "8") == default_options(decoding="beam", beam_width=8)
    # a flag of the search selects it
    words = ["--lm_path", "7", "--alpha=0.25", "--beta", "-1", "--hot_words=cat:3", "--lexicon", "False"]
    assert of_flags(*words) == default_options(
        decoding="beam", lm_path="7", alpha=0.25, beta=-1.0, hot_words={"cat": 3.0}, lexicon=False)
    with pytest.raises(UsageError, match="--alpha is 'x' .*expected a number") as caught:
        of_flags("--alpha", "x", "--beam_width", "0")
    assert "--beam_width is 0" in str(caught.value)
    with pytest.raises(UsageError, match="--lm_path has no effect with --decoder greedy"):
        of_flags("--decoder", "greedy", "--lm_path", "lm.arpa")


def test_flags_of_run_py(write_config):
    def loaded(*words):
        _, overrides = parse_command_line(["--config_file=" + path, "--mode=eval"] + list(words))
        return options_from_config(load_experiment(path, "eval", overrides).params["eval"]["decoder_params"])
    path = write_config('base_params["decoder_params"] = {"use_language_model": False}')
    assert loaded().decoding == "greedy"
    assert loaded("--lm_path", "lm.arpa", "--alpha=0.25") == default_options(decoding="beam", lm_path="lm.arpa", alpha=0.25)
    assert loaded("--decoder=greedy").decoding == "greedy"
    assert loaded("--hot_words=cat:3,dog", "--lexicon=False").hot_words == {"cat": 3.0, "dog": 10.0}
    for words, message in ((["--alpha=x"], "--alpha is 'x'"), (["--decoder=bean"], "did you mean 'beam'"),
                           (["--lm_alpha=1"], "use --alpha"), (["--scorer=lm.scorer"], "--lm_path")):
        with pytest.raises(ConfigError, match=message):
            loaded(*words)
    with pytest.raises(UsageError, match="--beam_width has no effect with --decoder greedy"):
        loaded("--decoder=greedy", "--beam_width=8")
