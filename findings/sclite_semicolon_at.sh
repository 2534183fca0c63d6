#!/usr/bin/env bash
# sclite compares a word only up to a semicolon, and leaves out words that are "@": wrong transcripts have a WER of 0 %.
#
# Software:  sclite 2.10 of SCTK (Debian package sctk 2.4.10-20151007-1312Z+dfsg2-3.1), trn files
# Seen:      2026-11-30, Debian 12
# Behavior:  "a;b" in the reference and "a;d" in the hypothesis count as correct. A word "@" counts neither as a word of the reference nor
#            as a deletion, although it is outside of the braces for alternatives. There is no message, and the exit status is 0. The two
#            utterances below have two errors in eight words; sclite reports seven words, all correct.
# Hurt:      whoever scores text that keeps punctuation ("stop;go"), code, chat or addresses ("me @ home"), e.g. of models that write
#            cased and punctuated text.
# What to do: replace ";" and "@" in references and hypotheses alike before writing trn files (a percent code keeps them different), or
#            score with a tool that compares words as they are.
# Exit status 0 while the behavior is as described, 1 when it has changed. Needs apt-get and dpkg-deb, no root rights.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get --quiet download sctk=2.4.10-20151007-1312Z+dfsg2-3.1 > /dev/null 2>&1
dpkg-deb -x sctk_*.deb .
printf '%s\n' 'the price is a;b dollars (s1-1)' 'meet @ noon (s1-2)' > ref.trn
printf '%s\n' 'the price is a;d dollars (s1-1)' 'meet noon (s1-2)' > hyp.trn
usr/lib/sctk/bin/sclite -r ref.trn trn -h hyp.trn trn -i rm -o sum stdout > summary.txt
grep -F 'Sum/Avg' summary.txt
# sentences and words, then correct, substituted, deleted, inserted, errors, sentences with errors in percent
figures="$(grep -F 'Sum/Avg' summary.txt | tr -cs '0-9.' ' ')"
[ "$figures" = " 2 7 100.0 0.0 0.0 0.0 0.0 0.0 " ] || { echo "CHANGED: $figures" >&2; exit 1; }
