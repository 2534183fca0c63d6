#!/usr/bin/env bash
# epitran loses the /j/ of Ukrainian я, ю, є after vowels and apostrophes, and reads the Turkish capital I as i.
#
# Software:  epitran 1.35.3
# Seen:      2026-11-30, CPython 3.11
# Behavior:  ukr-Cyrl: моя ("my") is mɔɑ, знає ("knows") znɑɛ, without the glide; after an apostrophe the glide is missing too and the
#            apostrophe stays in the output: п'ять ("five") is p'ɑtʲ, with U+2019 p’ɑtʲ, and with U+02BC pʼɑtʲ, which in IPA is an
#            ejective. At the start of a word (яблуко) and before ї the glide is right. tur-Latn and aze-Latn lower the case in the
#            English way: Işık is iʃɯk and ışık ɯʃɯk, İzmir begins with i and a combining dot. tgk-Cyrl writes ё and ӣ as ë and ī, which
#            are not IPA. No warning.
# Hurt:      whoever builds pronunciation lexicons, phoneme targets or phonetic distances for these languages: such endings are frequent
#            in Ukrainian verbs and adjectives, and Turkish words have two pronunciations, one at the start of a sentence.
# What to do: Turkish and Azerbaijani: replace İ by i and I by ı, and lower the case, before the call. Ukrainian: write я, ю, є after a
#            vowel or an apostrophe as йа, йу, йе, without the apostrophe (мойа gives mɔjɑ). Check that no letter of the input is in the
#            output.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages epitran==1.35.3
"$python" -W ignore - 2> /dev/null <<'PYTHON'
import sys

import epitran

expected = {
    "ukr-Cyrl": {"моя": "mɔɑ", "знає": "znɑɛ", "мою": "mɔu", "п'ять": "p'ɑtʲ", "п\u2019ять": "p\u2019ɑtʲ", "п\u02bcять": "p\u02bcɑtʲ",
                 "яблуко": "jɑblukɔ", "поїзд": "pɔjizd", "мойа": "mɔjɑ"},
    "tur-Latn": {"Işık": "iʃɯk", "ışık": "ɯʃɯk", "İzmir": "i\u0307zmiɾ", "izmir": "izmiɾ"},
    "aze-Latn": {"Işıq": "ɪʃɯɡ", "ışıq": "ɯʃɯɡ"},
    "tgk-Cyrl": {"ёрӣ": "ërī"}}
found = {}
for language, words in expected.items():
    found[language] = {word: epitran.Epitran(language).transliterate(word) for word in words}
    print(language, ", ".join("%s %s" % pair for pair in found[language].items()))
sys.exit(0 if found == expected else 1)
PYTHON
