#!/usr/bin/env bash
# cn2an.transform reads times, phone numbers and grouped digits as other numbers: "a quarter past ten" becomes 10.1, "1,000" "one,zero".
#
# Software:  cn2an 0.5.24
# Seen:      2026-11-29, CPython 3.11
# Behavior:  transform(..., "cn2an"): 十点一刻 (a quarter past ten) -> "10.1刻"; 三五个人 (three to five people) -> "35个人"; 一般般 (so-so) ->
#            "1般般", 统一思想 (unify) -> "统1思想". transform(..., "an2cn"): "1,000元" -> "一,零元" (one, zero yuan); the phone number 13800138000 is
#            read as 13.8 billion. No error, no warning. cn2an("一亿二", "smart") (120 million as it is spoken) raises
#            KeyError: 10000000, where 一万二 is right.
# Hurt:      whoever normalizes Mandarin transcripts or references for training and scoring (or text for synthesized speech): the words are not
#            those that are spoken, and a recognizer is scored against 10.1 for a right answer.
# What to do: normalize only spans that are known to be numbers (amounts, dates), read long digit strings digit by digit, and remove
#            thousands separators before.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages cn2an==0.5.24
"$python" -X utf8 - <<'PYTHON'
import sys

import cn2an

seen = [("cn2an", "十点一刻", "10.1刻"), ("cn2an", "三五个人", "35个人"), ("cn2an", "一般般", "1般般"), ("cn2an", "统一思想", "统1思想"),
        ("cn2an", "一百二十人", "120人"), ("an2cn", "1,000元", "一,零元"), ("an2cn", "1000元", "一千元"),
        ("an2cn", "电话13800138000", "电话一百三十八亿零一十三万八千")]
results = [cn2an.transform(text, method) for method, text, _ in seen]
for (method, text, _), result in zip(seen, results):
    print(method, text, "->", result)
try:
    spoken = cn2an.cn2an("一亿二", "smart")
except KeyError as error:
    spoken = "KeyError: %s" % error
print("smart 一万二 ->", cn2an.cn2an("一万二", "smart"), " 一亿二 ->", spoken)
sys.exit(0 if results == [result for _, _, result in seen] and spoken == "KeyError: 10000000" else "CHANGED")
PYTHON
