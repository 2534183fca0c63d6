#!/usr/bin/env bash
# webvtt-py cuts caption times to whole seconds in start_in_seconds and end_in_seconds, and leaves "&amp;" and "&lt;" in the text.
#
# Software:  webvtt-py 0.6.0; pysubs2 1.8.1 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  A cue from 1.900 to 2.050 s starts at 1 and ends at 2; one from 3.100 to 3.950 s starts and ends at 3. Caption.text removes
#            tags (<v Anna>, <i>) but does not decode the entities that WebVTT requires for "&" and "<" (and allows for the no-break
#            space): "R&amp;B &lt;3" stays so. pysubs2 gives the times in milliseconds.
# Hurt:      whoever cuts utterances out of subtitled recordings: up to a second before the speech and up to a second of its end are wrong, cues
#            of one second and less become empty, and the references hold words such as "amp" and "nbsp".
# What to do: compute seconds from start_time (hours, minutes, seconds, milliseconds), and pass text through html.unescape.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages webvtt-py==0.6.0 pysubs2==1.8.1
"$python" - <<'PYTHON'
import sys

import pysubs2
import webvtt

content = """WEBVTT

00:01.900 --> 00:02.050
<v Anna>R&amp;B &lt;3

00:03.100 --> 00:03.950
ten&nbsp;<i>percent</i>
"""
captions = [(caption.start_in_seconds, caption.end_in_seconds, caption.text) for caption in webvtt.from_string(content)]
events = [(event.start, event.end) for event in pysubs2.SSAFile.from_string(content, format_="vtt")]
for caption, event in zip(captions, events):
    print("webvtt-py %s to %s s, %r; pysubs2 %d to %d ms" % (caption + event))
sys.exit(0 if captions == [(1, 2, "R&amp;B &lt;3"), (3, 3, "ten&nbsp;percent")] and events == [(1900, 2050), (3100, 3950)] else "CHANGED")
PYTHON
