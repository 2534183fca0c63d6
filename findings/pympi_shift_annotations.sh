#!/usr/bin/env bash
# pympi's shift_annotations moves words of an ELAN file two or three times where tiers share time slots, and does not move what it squashes.
#
# Software:  pympi-ling 1.71
# Seen:      2026-11-29, CPython 3.11
# Behavior:  It moves the two time slots of each annotation. In ELAN's "Time Subdivision" tiers (words in an utterance) neighbors and parent
#            share slots, and each user of a slot moves it once more: an utterance from 1 to 3 s with two words, shifted by 0.5 s, is then at
#            2 to 4 s. Where a shift to the left begins before 0 the start becomes 0 and the end stays: 0.5 to 1.5 s shifted by -0.7 s
#            is 0 to 1.5 s, not 0 to 0.8 s, and overlaps its neighbor, which was moved. No error; the return value does not report it.
# Hurt:      whoever corrects a constant offset between a recording and its annotation, or cuts off the start of both: word times are wrong by
#            the size of the shift, differently by tier.
# What to do: add the shift to each value of Eaf.timeslots once (and clip at 0), instead of shift_annotations.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pympi-ling==1.71
"$python" - <<'PYTHON'
import sys

import pympi

with open("subdivided.eaf", "w") as file:
    file.write("""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-11-29T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
<TIME_ORDER>
<TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2000"/>
<TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="3000"/>
</TIME_ORDER>
<TIER LINGUISTIC_TYPE_REF="utterance" TIER_ID="utterance">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>good morning</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<TIER LINGUISTIC_TYPE_REF="words" PARENT_REF="utterance" TIER_ID="words">
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
<ANNOTATION_VALUE>good</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a3" TIME_SLOT_REF1="ts2" TIME_SLOT_REF2="ts3">
<ANNOTATION_VALUE>morning</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
</TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true"/>
<LINGUISTIC_TYPE CONSTRAINTS="Time_Subdivision" GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="words" TIME_ALIGNABLE="true"/>
<CONSTRAINT DESCRIPTION="Time subdivision of parent annotation's time interval" STEREOTYPE="Time_Subdivision"/>
</ANNOTATION_DOCUMENT>""")
subdivided = pympi.Elan.Eaf("subdivided.eaf")
read = [sorted(subdivided.get_annotation_data_for_tier(tier)) for tier in ("utterance", "words")]
report = subdivided.shift_annotations(500)
shifted = [sorted(subdivided.get_annotation_data_for_tier(tier)) for tier in ("utterance", "words")]
print("subdivided:", read)
print("  + 500 ms:", shifted, report)

flat = pympi.Elan.Eaf()
flat.add_tier("words")
for start, end, word in ((500, 1500, "good"), (1500, 2500, "morning")):
    flat.add_annotation("words", start, end, word)
flat.shift_annotations(-700)
squashed = sorted(flat.get_annotation_data_for_tier("words"))
print("500 to 1500 and 1500 to 2500 ms - 700 ms:", squashed)
as_described = (read == [[(1000, 3000, "good morning")], [(1000, 2000, "good"), (2000, 3000, "morning")]]
                and shifted == [[(2000, 4000, "good morning")], [(2000, 3000, "good"), (3000, 4000, "morning")]]
                and report == ([], []) and squashed == [(0, 1500, "good"), (800, 1800, "morning")])
sys.exit(0 if as_described else "CHANGED")
PYTHON
