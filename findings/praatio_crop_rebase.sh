#!/usr/bin/env bash
# praatio's crop with rebaseToZero=True moves each tier of a TextGrid by another amount (mode "lax"), and fails where a tier is silent.
#
# Software:  praatio 6.2.2
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The documentation says that cropStart is subtracted. In mode "lax", which keeps the intervals that reach over the start of the crop,
#            the start of the first kept interval of the same tier is subtracted instead. With the crop at 0.7 s, a word from 0.2 s and its
#            last phone from 0.5 s, the words move by 0.2 s, the phones by 0.5 s and the points by 0.7 s: one event gets three times. No
#            warning. In all three modes a tier without an entry in the crop (a pause) raises "IndexError: list index out of range";
#            with rebaseToZero=False the same crop succeeds.
# Hurt:      whoever cuts long recordings and their alignments into utterances: words and phones no longer agree with each other nor with
#            the audio, and the first pause ends the program.
# What to do: crop with rebaseToZero=False and subtract cropStart in all tiers, or use mode "truncated" and skip empty tiers.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages praatio==6.2.2
"$python" - <<'PYTHON'
import sys

from praatio import textgrid

grid = textgrid.Textgrid(0, 3)
grid.addTier(textgrid.IntervalTier("words", [(0.2, 0.8, "seven"), (0.8, 1.4, "eight"), (2.5, 2.9, "nine")], 0, 3))
grid.addTier(textgrid.IntervalTier("phones", [(0.2, 0.5, "seve"), (0.5, 0.8, "n"), (0.8, 1.4, "eit"), (2.5, 2.9, "nain")], 0, 3))
grid.addTier(textgrid.PointTier("bursts", [(0.8, "onset of eight")], 0, 3))


def onsets(mode, rebase):
    cropped = grid.crop(0.7, 1.5, mode, rebase)
    return [round(entry[0], 3) for name in cropped.tierNames for entry in cropped.getTier(name).entries
            if entry[-1] in ("eight", "eit", "onset of eight")]


def pause(mode, rebase):
    try:
        return [len(grid.crop(1.5, 2.3, mode, rebase).getTier(name).entries) for name in grid.tierNames]
    except IndexError as error:
        return str(error)


found = {mode: (onsets(mode, True), onsets(mode, False), pause(mode, True), pause(mode, False)) for mode in ("strict", "lax", "truncated")}
for mode, (rebased, kept, failure, empty) in found.items():
    print("%-9s onset of 'eight' in the tiers: rebased %s, not rebased %s; crop of a pause: rebased %r, not rebased %s entries" % (
        mode, rebased, kept, failure, empty))
error = "list index out of range"
same = ([0.1] * 3, [0.8] * 3, error, [0] * 3)
sys.exit(0 if found == {"strict": same, "truncated": same, "lax": ([0.6, 0.3, 0.1], [0.8] * 3, error, [0] * 3)} else "CHANGED")
PYTHON
