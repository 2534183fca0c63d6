#!/usr/bin/env bash
# uroman writes Chinese and Japanese numeral characters as digits, also inside words: "general" becomes "1ban", "by all means" 10000000.
#
# Software:  uroman 1.3.1.1
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The romanization of a text with numerals is not what is spoken: "三百二十人" (sanbai ershi ren) -> "320ren", "一般" (yiban, general)
#            -> "1ban", "万一" (wanyi, in case) -> "11000", "千万不要" (qianwan buyao, by no means) -> "10000000buyao". The year
#            "二〇二六年" loses its zero: "2·2·6nian". A language code does not change it. Korean and Thai number words are romanized by sound.
# Hurt:      whoever aligns Chinese or Japanese speech with an acoustic model of Latin letters (MMS forced alignment and its recipes romanize with
#            uroman and then drop what is not a letter): no token stands for some of the most frequent characters, and their
#            sounds are given to the neighbors.
# What to do: romanize by pypinyin (or a Japanese reading dictionary), or replace the numerals' characters by their reading before uroman; check
#            that its output has no digit where the text has none.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages uroman==1.3.1.1
"$python" -X utf8 - <<'PYTHON'
import sys

import uroman

romanizer = uroman.Uroman()
seen = [("三百二十人", "zho", "320ren"), ("一般", "zho", "1ban"), ("万一", "zho", "11000"), ("千万不要", "zho", "10000000buyao"),
        ("我有一只猫", "zho", "woyou1zhimao"), ("二〇二六年", "zho", "2·2·6nian"), ("九州", "jpn", "9zhou"), ("한국 삼백", "kor", "hangug sambaeg"),
        ("ยี่สิบ", "tha", "yiisip")]
results = [romanizer.romanize_string(text, lcode=language) for text, language, _ in seen]
for (text, language, _), result in zip(seen, results):
    print(language, text, "->", result)
sys.exit(0 if results == [latin for _, _, latin in seen] else "CHANGED: expected %r" % [latin for _, _, latin in seen])
PYTHON
