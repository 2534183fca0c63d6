#!/usr/bin/env bash
# num2words2 reads "1,000" as "one" in English sentences, and many of its languages have number words that nobody says.
#
# Software:  num2words2 1.0.20 (Rust), indic-num2words 1.3.2
# Seen:      2026-11-30, CPython 3.11
# Behavior:  A comma is a decimal point in each language: "I have 1,000 cats" becomes "I have one cats", 2,500 "two point five"; "10 000"
#            is "ten zero". In German "3.14" becomes "dritte14" (third). Tamil and Malay drop decimals (0.5 is "zero"); in Persian,
#            Slovenian and Bengali 0.05 and 0.5 are the same words. Marathi, Gujarati, Punjabi and Nepali have words of their own for each
#            number up to 99 (22 is बावीस in Marathi), num2words2 composes them (दोनवीस, "two twenty"): 66 to 72 of 99 are not the words
#            that indic-num2words has. Kyrgyz and Odia come in Latin letters, and zero is the English "zero" in Kazakh, Tatar and Uzbek.
#            Equal words for unequal numbers: 17 and 70 in num2words2's Odia, 9 and 10 in indic-num2words' Odia. No error.
# Hurt:      whoever writes out numbers in training transcripts, language model text or prompts of a synthesizer by it.
# What to do: remove separators of thousands first; use num2words for its languages and indic-num2words for those of India except Odia 10;
#            test a new language: all numbers up to 1,000 must have different words, without digits, in the letters of the language.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages num2words2==1.0.20 indic-num2words==1.3.2
"$python" - <<'PYTHON'
import sys

from num2words2 import num2words, num2words_sentence
from num_to_words import num_to_word

sentences = [("en", "I have 1,000 cats"), ("en", "it costs 2,500 dollars"), ("ru", "10 000 человек"), ("de", "etwa 3.14"),
             ("en", "about 3.14")]
read = [num2words_sentence(sentence, lang=language) for language, sentence in sentences]
for (language, sentence), words in zip(sentences, read):
    print("%s  %-24s %s" % (language, sentence, words))
decimals = {language: [num2words(number, lang=language) for number in (0.5, 0.05, 0)] for language in ("ta", "ms", "fa", "sl", "bn", "en")}
for language, words in decimals.items():
    print("%s  0.5, 0.05, 0: %s" % (language, " | ".join(words)))
composed = {}
for language in ("mr", "gu", "pa", "ne"):
    pairs = [(num2words(number, lang=language), num_to_word(number, lang=language)) for number in range(1, 100)]
    composed[language] = sum(len(ours.split()) != len(theirs.split()) or len(set(ours) ^ set(theirs)) > 2 for ours, theirs in pairs)
    print("%s  22: %s (indic-num2words: %s); different up to 99: %d" % (language, *pairs[21], composed[language]))
latin = {language: num2words(1000, lang=language) for language in ("ky", "or")}
zero = {language: num2words(0, lang=language) for language in ("kk", "tt", "uz")}
odia = [num2words(number, lang="or") for number in (17, 70)], [num_to_word(number, lang="or") for number in (9, 10)]
print("1000:", latin, "0:", zero, "Odia 17, 70 and 9, 10:", *odia)
as_described = (read[0] == "I have one cats" and "two point five" in read[1].lower() and "ноль" in read[2] and "dritte14" in read[3]
                and read[4] == "about three point one four"
                and all(decimals[language][0] == decimals[language][1] for language in ("fa", "sl", "bn"))
                and all(len(set(decimals[language])) == 1 for language in ("ta", "ms")) and len(set(decimals["en"])) == 3
                and min(composed.values()) > 50 and latin == {"ky": "min", "or": "eka hajāra"} and set(zero.values()) == {"zero"}
                and all(len(set(pair)) == 1 for pair in odia))
sys.exit(0 if as_described else "CHANGED")
PYTHON
