#!/usr/bin/env bash
# espeak-ng says "one thousand" for 1000, 1000000 and 1000000000 in Ukrainian, and nothing at all for any number in Chuvash.
#
# Software:  espeak-ng 1.52 (espeakng-loader 0.2.4)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  Numbers in digits. Ukrainian: a thousand, a million and a billion have the same phonemes, 2000000 those of 2000. Luxembourgish
#            and Latin: a billion is "one thousand". Uzbek: 2000 is "two zero zero zero". Chuvash: digits have no phonemes, so
#            the audio of a sentence is that of the sentence without them. Written words ("мільйон", "пиллӗк") are spoken in all of these
#            languages. No warning.
# Hurt:      whoever makes synthetic speech for training, or a phoneme dictionary, from texts with numbers: audio and transcript differ.
# What to do: write numbers as words before synthesis; compare the phonemes of the digits with those of the words for some numbers of each
#            language, and reject sentences with digits where they differ.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages espeakng-loader==0.2.4
"$python" - <<'PYTHON'
import ctypes
import sys

import espeakng_loader

library = ctypes.CDLL(espeakng_loader.get_library_path())
library.espeak_TextToPhonemes.restype = ctypes.c_char_p
library.espeak_Initialize(2, 0, espeakng_loader.get_data_path().encode(), 0)


def phonemes(language, text):
    assert library.espeak_SetVoiceByName(language.encode()) == 0
    pointer, found = ctypes.pointer(ctypes.c_char_p(text.encode())), []
    while pointer.contents.value:
        found.append(library.espeak_TextToPhonemes(ctypes.cast(pointer, ctypes.c_void_p), 1, 2).decode())
    return " ".join(found).replace("ˈ", "").replace("ˌ", "").strip()


numbers = ("5", "2000", "2000000", "1000", "1000000", "1000000000")
read = {}
for language in ("uk", "lb", "la", "uz", "cv", "en", "ru"):
    read[language] = {number: phonemes(language, number) for number in numbers}
    for number, said in read[language].items():
        print("%s  %-12s %s" % (language, number, said))
words = phonemes("uk", "один мільйон"), phonemes("cv", "пиллӗк")
print("uk, one million in words: %s; cv, five in words: %s" % words)
uk, zero = read["uk"], phonemes("uz", "0")
as_described = (uk["1000"] == uk["1000000"] == uk["1000000000"] != "" and uk["2000"] == uk["2000000"] and uk["1000000"] != words[0]
                and all(read[language]["1000"] == read[language]["1000000000"] for language in ("lb", "la"))
                and read["uz"]["2000"].count(zero) == 3 and not any(read["cv"].values()) and words[1]
                and all(len(set(read[language].values())) == len(numbers) for language in ("en", "ru")))
sys.exit(0 if as_described else "CHANGED")
PYTHON
