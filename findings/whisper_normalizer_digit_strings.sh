#!/usr/bin/env bash
# The English text normalizer of Whisper joins spoken digits into one word, which changes what a WER of digit strings means.
#
# Software:  whisper-normalizer 0.1.15 (the normalizer of openai/whisper as a package), jiwer 3.0.5
# Seen:      2026-11-29, CPython 3.11
# Behavior:  "five nine nine five six seven" becomes "599567". A transcript of six digits is one word, so that one wrong digit is a WER
#            of 100 % instead of 16.7 %, and a missing digit is a substitution. "two hundred and five" and "two oh five" become the same.
# Hurt:      whoever compares recognizers on digits, telephone numbers or codes (FSDD, TIDIGITS, Aurora) with scores after this normalizer.
# What to do: do not normalize digit strings with it, or report the character error rate of the normalized text.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages whisper-normalizer==0.1.15 jiwer==3.0.5
"$python" - <<'PYTHON'
import sys

import jiwer
from whisper_normalizer.english import EnglishTextNormalizer

normalize = EnglishTextNormalizer()
reference, hypothesis = "five nine nine five six seven", "five nine nine five six four"
plain = jiwer.wer(reference, hypothesis)
normalized = jiwer.wer(normalize(reference), normalize(hypothesis))
print(repr(reference), "->", repr(normalize(reference)))
print("WER of one wrong digit in six: %.3f, after the normalizer %.3f" % (plain, normalized))
print("two hundred and five ->", normalize("two hundred and five"), "; two oh five ->", normalize("two oh five"))
as_described = (normalize(reference) == "599567" and abs(plain - 1 / 6) < 1e-9 and normalized == 1.0
                and normalize("two hundred and five") == normalize("two oh five") == "205")
sys.exit(0 if as_described else "CHANGED")
PYTHON
