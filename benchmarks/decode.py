#!/usr/bin/env python3
"""Speed of decoding: greedy, and beam search against the libraries called by hand, on 29 outputs and 800 frames; on one core and
two; next to a network. Seconds per utterance are of CPU time, so that other programs disturb little.

    python benchmarks/decode.py
    python benchmarks/decode.py --run_config FILE --lm_path LM   also times run.py --mode=eval with and without LM
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.decoding import make_decoder  # noqa: E402
from open_seq2seq.decoding.language_model import search_spec  # noqa: E402
from open_seq2seq.decoding.options import COQUI, default_options  # noqa: E402
from open_seq2seq.decoding.searches import import_pyctcdecode, make_search  # noqa: E402
from open_seq2seq.evaluation.error_rates import transcript_errors  # noqa: E402
from open_seq2seq.text.vocabulary import Vocabulary  # noqa: E402

CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"
FRAMES, FRAMES_PER_CHARACTER = 800, 5
WORDS, SENTENCES = 2000, 20000
ALPHA, BETA = 0.5, 1.5


class Language:
    """Random sentences over invented words: each word has a few likely followers."""

    def __init__(self, seed=0):
        self._random = np.random.RandomState(seed)
        syllables = [c + v for c in "bcdfghklmnprstvwyz" for v in "aeiou"] + ["an", "in", "on", "er", "st", "all", "ee"]
        words = set()
        while len(words) < WORDS:
            words.add("".join(self._random.choice(syllables, self._random.randint(1, 5))))
        self.words = sorted(words)
        ranks = self._random.permutation(WORDS) + 1
        self._common = (1.0 / ranks) / (1.0 / ranks).sum()
        self._followers = self._random.randint(WORDS, size=[WORDS, 8])

    def sentence(self, length):
        """A str of at least ``length`` characters."""
        text, word = "", 0
        while len(text) < length:
            follows = text and self._random.rand() < 0.7
            word = self._followers[word, self._random.randint(8)] if follows else self._random.choice(WORDS, p=self._common)
            text += (" " if text else "") + self.words[word]
        return text

    def logits(self, text):
        """float32 [FRAMES, 29], as of a network that confuses characters: a character's frame has other candidates, too."""
        blank = len(CHARACTERS)
        logits = self._random.randn(FRAMES, blank + 1).astype(np.float32)
        logits[:, blank] += 9.0
        frames = np.linspace(2, FRAMES - 3, len(text)).astype(int)
        for frame, character in zip(frames, text):
            logits[frame, blank] -= 7.0
            logits[frame, CHARACTERS.index(character)] += 5.0
            if self._random.rand() < 0.25:
                logits[frame, self._random.randint(blank)] += 6.0 * self._random.rand()
        return logits


def seconds_of(function, items):
    """(CPU seconds per item, list of results)."""
    started = time.process_time()
    results = [function(item) for item in items]
    return (time.process_time() - started) / len(items), results


def softmax(logits):
    shifted = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def coqui_by_hand(vocabulary, scorer_path, width, cutoff_prob):
    """A function of logits that calls coqui_stt_ctcdecoder as its documentation says."""
    import coqui_stt_ctcdecoder
    alphabet = coqui_stt_ctcdecoder.Alphabet()
    alphabet.InitFromLabels(list(vocabulary.characters))
    scorer = coqui_stt_ctcdecoder.Scorer(ALPHA, BETA, scorer_path, alphabet)
    search = coqui_stt_ctcdecoder.ctc_beam_search_decoder
    return lambda logits: search(softmax(logits), alphabet, width, cutoff_prob, 40, scorer)[0].transcript


def pyctcdecode_by_hand(vocabulary, arpa, words, width):
    """A function of logits that calls pyctcdecode as its documentation says."""
    decoder = import_pyctcdecode().build_ctcdecoder(list(vocabulary.characters) + [""], arpa, words, ALPHA, BETA)
    return lambda logits: decoder.decode(logits, beam_width=width)


def searches(language, vocabulary, arpa, arguments):
    """{name: (CPU seconds per utterance, word error rate)}, each measured on the same utterances, in turns."""
    texts = [language.sentence(FRAMES // FRAMES_PER_CHARACTER) for _ in range(arguments.utterances)]
    logits = [language.logits(text) for text in texts]
    greedy = make_decoder(vocabulary, default_options())
    options = default_options(decoding="beam", lm_path=arpa, beam_width=arguments.beam_width, alpha=ALPHA, beta=BETA)
    spec, _ = search_spec(vocabulary, options)
    own = make_search(spec)
    functions = {"greedy": lambda item: greedy.decode_logits(item[np.newaxis], [len(item)])[0],
                 "beam search": lambda item: own.search(greedy.log_probabilities(item[np.newaxis], [len(item)])[0]).text}
    if spec.library == COQUI:
        functions["coqui_stt_ctcdecoder"] = coqui_by_hand(
            vocabulary, spec.lm_file, arguments.beam_width, options.cutoff_prob)
    functions["pyctcdecode"] = pyctcdecode_by_hand(vocabulary, arpa, language.words, arguments.beam_width)
    measured = {name: [] for name in functions}
    for _ in range(arguments.turns):
        for name, function in functions.items():
            few = len(logits) if name != "pyctcdecode" else max(1, len(logits) // 8)
            if name == "pyctcdecode" and measured[name]:
                continue
            seconds, found = seconds_of(function, logits[:few])
            rate = transcript_errors(texts[:few], [" ".join(text.split()) for text in found]).word_error_rate.rate
            measured[name].append((seconds, rate))
    return {name: min(values) for name, values in measured.items()}, logits, options


def utterances_per_second(vocabulary, options, logits, workers):
    """Of a decoder with some processes."""
    lengths = [len(item) for item in logits]
    with make_decoder(vocabulary, options._replace(decoder_workers=workers)) as decoder:
        decoder.decode_logits(np.stack(logits[:workers]), lengths[:workers])
        started = time.monotonic()
        futures = [decoder.submit(item[np.newaxis], [len(item)]) for item in logits]
        for future in futures:
            future.result()
        return len(logits) / (time.monotonic() - started)


def beside_a_network(vocabulary, options, logits, seconds):
    """(seconds per batch of the network alone, with greedy decoding, with the beam search next to it)."""
    import tensorflow.compat.v1 as tf
    from network import CASES, build
    network = build(CASES["jasper5x3"]._replace(batch_size=2, frames=2 * FRAMES), "eval", tf.ConfigProto(), True)
    greedy = make_decoder(vocabulary, default_options())
    batch, lengths = np.stack(logits[:2]), [FRAMES] * 2

    def timed(decoder):
        count, waiting, started = 0, [], time.monotonic()
        while time.monotonic() - started < seconds or count < 3:
            network.session.run(network.fetches)
            if decoder is not None:
                waiting.append(decoder.submit(batch, lengths))
            count += 1
        for future in waiting:
            future.result()
        return (time.monotonic() - started) / count
    network.session.run(network.fetches)
    with make_decoder(vocabulary, options) as search:
        return timed(None), timed(greedy), timed(search)


def timed_evaluations(config, lm_path, turns):
    """(seconds without, seconds with the language model, WER without, with): of run.py's own lines, the fastest of some turns."""
    measured = {}
    for _ in range(turns):
        for name, flags in (("greedy", ["--decoder=greedy"]), ("beam", ["--lm_path=" + lm_path])):
            command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=" + os.path.basename(config),
                       "--mode=eval", "--device=cpu"] + flags
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True,
                                  cwd=os.path.dirname(os.path.abspath(config))).stdout
            seconds = float(re.search(r"s of audio in ([\d.]+) s", done).group(1))
            rate = float(re.search(r"Validation WER: +([\d.]+)", done).group(1))
            measured.setdefault(name, []).append((seconds, rate))
    (without, rate), (with_lm, rate_with) = min(measured["greedy"]), min(measured["beam"])
    return without, with_lm, rate, rate_with


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=32)
    parser.add_argument("--beam_width", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3, help="measurements of each, of which the fastest counts")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to run the network")
    parser.add_argument("--run_config", metavar="FILE", help="config of a trained run, next to its data")
    parser.add_argument("--lm_path", metavar="LM", help="language model for it, relative to the config")
    arguments = parser.parse_args()
    language, vocabulary, figures = Language(), Vocabulary(CHARACTERS), {}
    with tempfile.TemporaryDirectory() as folder:
        text, characters, arpa = (os.path.join(folder, name) for name in ("text.txt", "vocab.txt", "lm.arpa"))
        with open(text, "w") as file:
            file.write("\n".join(language.sentence(60) for _ in range(SENTENCES)))
        with open(characters, "w") as file:
            file.write("\n".join(CHARACTERS))
        subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts", "build_lm.py"), "--vocab_file", characters, "--text",
                        text, "--order", "3", "--output", arpa], check=True, stdout=subprocess.DEVNULL)
        measured, logits, options = searches(language, vocabulary, arpa, arguments)
        print("%-24s %22s  %s" % ("800 frames, 29 outputs", "CPU s per utterance", "WER"))
        for name, (seconds, rate) in measured.items():
            print("%-24s %22.5f  %.4f" % (name, seconds, rate))
            figures[name] = {"cpu_seconds": seconds, "wer": rate}
        own = measured["beam search"][0]
        for name in set(measured) & {"coqui_stt_ctcdecoder", "pyctcdecode"}:
            figures["speed_to_" + name] = measured[name][0] / own
            print("beam search: %.2f times the speed of %s called by hand" % (measured[name][0] / own, name))
        rates = [utterances_per_second(vocabulary, options, logits, workers) for workers in (1, 2)]
        figures["two_processes"] = rates[1] / rates[0]
        print("1 process %.1f utterances/s, 2 processes %.1f: %.2f times" % (rates[0], rates[1], rates[1] / rates[0]))
        alone, greedy, beam = beside_a_network(vocabulary, options, logits, arguments.seconds)
        figures["network_with_greedy"], figures["network_with_beam"] = greedy / alone, beam / alone
        print("jasper5x3, 2 utterances of %d frames: %.3f s a batch; with greedy decoding %.3f times, with beam search %.3f times"
              % (2 * FRAMES, alone, greedy / alone, beam / alone))
    if arguments.run_config:
        without, with_lm, rate, rate_with = timed_evaluations(arguments.run_config, arguments.lm_path, arguments.turns)
        figures["evaluation"] = {"ratio": with_lm / without, "wer": rate, "wer_with_language_model": rate_with}
        print("evaluation of %s: %.2f times as long with the language model; WER %.4f, with it %.4f" % (
            arguments.run_config, with_lm / without, rate, rate_with))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
