"""Number words of Kyrgyz, Kazakh and Turkish against the phonemes that espeak-ng gives for the digits."""
import json
import random
import re
import subprocess
import sys

import pytest

from open_seq2seq.text.turkic_numbers import number_words

BASIC = list(range(11)) + list(range(20, 100, 10)) + [100, 1000]
# in a process of its own: the library keeps the voice of earlier texts
PHONEMES = """
import ctypes, json, sys
import espeakng_loader
library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)
library.espeak_TextToPhonemes.restype = ctypes.c_char_p
language, texts = json.loads(sys.stdin.buffer.read().decode())
assert library.espeak_SetVoiceByName(language.encode()) == 0
answers = []
for text in texts:
    buffer = ctypes.create_string_buffer(text.encode())
    rest, pieces = ctypes.c_void_p(ctypes.addressof(buffer)), []
    while rest.value:
        pieces.append(library.espeak_TextToPhonemes(ctypes.byref(rest), 1, 2).decode())
    answers.append(" ".join(pieces))
sys.stdout.write(json.dumps(answers))
"""
# its list of numbers and its rules for letters have other variants of some sounds
ALLOPHONES = {"kk": {"\u027e": "r", "\u00f8": "\u0275", "\u026b": "l", "j": ""},
              "tr": {"\u026a": "i", "\u028a": "u", "\u0254": "o", "\u00f8": "y", "\u00e6": "e", "\u025b": "e", "c": "k"}}


def phonemes(language, texts):
    """What espeak-ng would speak for each text, without stress, pauses and length."""
    done = subprocess.run([sys.executable, "-c", PHONEMES], input=json.dumps([language, texts]).encode(), stdout=subprocess.PIPE,
                          check=True)
    return [folded(re.sub("[\u02c8\u02cc\\- ]", "", answer)) for answer in json.loads(done.stdout.decode())]


def folded(sounds):
    return re.sub(r"([^\W_])\1", r"\1", sounds)


def numbers(most_digits):
    choose = random.Random(0)
    return sorted(set(range(1, 2200)) | {choose.randrange(1, 10 ** choose.randint(4, most_digits)) for _ in range(800)})


def words_of(language, chosen):
    return [number_words(language, str(number)) for number in chosen]


def test_kyrgyz_words_sound_as_the_digits():
    chosen = numbers(9)
    heard, spelled = phonemes("ky", list(map(str, chosen))), phonemes("ky", words_of("ky", chosen))
    # its rules for letters lose the last one of кырк; its list of numbers has it
    assert [sounds.replace("q\u026frq", "q\u026fr") for sounds in heard] == spelled
    # zero is нол in its list; dictionaries of Kyrgyz have нөл
    assert phonemes("ky", ["0"]) == phonemes("ky", ["нол"]) and number_words("ky", "0") == "нөл"


@pytest.mark.parametrize("language", ["kk", "tr"])
def test_kazakh_and_turkish_words_are_those_of_the_digits(language):
    heard, spelled = phonemes(language, list(map(str, BASIC))), phonemes(language, words_of(language, BASIC))
    alike = str.maketrans(ALLOPHONES[language])
    assert [sounds.translate(alike) for sounds in heard] == [sounds.translate(alike) for sounds in spelled]
    # and every number consists of them; one thousand is two words in Kazakh. A million has other names there
    sound = dict(zip(words_of(language, BASIC), heard))
    sound[number_words(language, "2000").split()[1]] = phonemes(language, ["2000"])[0][len(sound[number_words(language, "2")]):]
    chosen = numbers(6)
    assert phonemes(language, list(map(str, chosen))) == [
        folded("".join(sound[word] for word in words.split())) for words in words_of(language, chosen)]


@pytest.mark.parametrize("language, words", [
    ("ky", "бир миллиард эки миллион бир миң бир"), ("kk", "бір миллиард екі миллион бір мың бір"),
    ("tr", "bir milyar iki milyon bin bir")])
def test_large_numbers(language, words):
    assert number_words(language, "1002001001") == words
    assert number_words(language, "1" + "0" * 15) is None
