#!/usr/bin/env bash
# tgt (TextGridTools) drops or cuts labels that contain " = " when it reads a long TextGrid, also one that it wrote itself.
#
# Software:  tgt 1.5; textgrid 1.5 and praatio 6.2.2 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The label "mass = force" comes back as "mas", and the interval "E = m c squared" does not come back at all: the reader splits each
#            line at " = " and keeps the second part without its first and last character. No error. The short form is read
#            rightly, and textgrid and praatio read the same long file rightly. (Related: write_to_file(format="eaf") does not escape, so
#            a label with "&" makes an EAF that no XML reader accepts, tgt's own included.)
# Hurt:      whoever stores transcripts or forced alignments of lectures, mathematics or dictated code, or glosses with clitic marks, in
#            Praat's default form: words are missing from the alignment, and a gap looks like silence.
# What to do: write the short form, or read by praatio or textgrid; compare the number of intervals after reading with include_empty_intervals.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tgt==1.5 textgrid==1.5 praatio==6.2.2 numpy==2.4.6
"$python" - <<'PYTHON'
import sys
import xml.etree.ElementTree

import praatio.textgrid
import textgrid
import tgt

labels = ["the", "E = m c squared", "mass = force", "go =2SG"]
tier = tgt.IntervalTier(0, len(labels), "words")
for number, label in enumerate(labels):
    tier.add_interval(tgt.Interval(number, number + 1, label))
grid = tgt.TextGrid()
grid.add_tier(tier)
read = {}
for form in ("long", "short"):
    tgt.write_to_file(grid, form + ".TextGrid", format=form)
    read["tgt, " + form] = [(interval.start_time, interval.text) for interval in tgt.read_textgrid(form + ".TextGrid").tiers[0]]
read["textgrid, long"] = [(interval.minTime, interval.mark) for interval in textgrid.TextGrid.fromFile("long.TextGrid")[0]]
read["praatio, long"] = [(entry.start, entry.label) for entry in praatio.textgrid.openTextgrid("long.TextGrid", False).tiers[0].entries]
for name, intervals in read.items():
    print("%-15s %s" % (name, intervals))

grid = tgt.TextGrid()
tier = tgt.IntervalTier(0, 1, "words")
tier.add_interval(tgt.Interval(0, 1, "R&B"))
grid.add_tier(tier)
tgt.write_to_file(grid, "words.eaf", format="eaf")
try:
    xml.etree.ElementTree.parse("words.eaf")
    eaf = "read"
except xml.etree.ElementTree.ParseError as error:
    eaf = str(error)
print("EAF with the label R&B:", eaf)
right = list(zip(range(len(labels)), labels))
as_described = (read["tgt, long"] == [(0, "the"), (2, "mas"), (3, "go =2SG")] and read["tgt, short"] == right
                and read["textgrid, long"] == right and read["praatio, long"] == right and "not well-formed" in eaf)
sys.exit(0 if as_described else "CHANGED")
PYTHON
