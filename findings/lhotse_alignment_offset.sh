#!/usr/bin/env bash
# lhotse does not move word alignments when it cuts a recording: in the cut, words lie outside of their utterance and get negative durations.
#
# Software:  lhotse 1.33.0 (torch 2.14.1)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  An utterance from 5 to 6.5 s has the words "good" at 5.1 s and "morning" at 5.5 s. After trim_to_supervisions the supervision
#            starts at 0.0 of the cut of 1.5 s, its words still at 5.1 and 5.5 s. AlignmentItem is documented as relative to the
#            recording, but lhotse's own readers take it as relative to the cut: supervisions_audio_mask("word") is zero throughout, the batch of
#            K2SpeechRecognitionDataset has word_start 510 and 550 in 150 frames, and trimmed_supervisions returns durations of
#            -3.6 and -4.0 s. In two appended cuts both utterances keep 5.1 and 5.5 s, and the offset of the second one cannot be recovered. A whole
#            recording is right, and so is a cut that starts at 0: tests with one utterance per file do not reveal it. No error, no warning.
# Hurt:      whoever trains a voice-activity detector, an aligner or a model with word times on utterances of long recordings.
# What to do: subtract cut.start from each item (AlignmentItem.with_offset(-cut.start)) right after trimming, once, before cuts are joined,
#            padded or batched; check that all words lie in 0 to cut.duration.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages lhotse==1.33.0 urllib3==2.6.3 torch==2.14.1 soundfile==0.13.1 numpy==2.4.6
"$python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import soundfile
from lhotse import CutSet, Fbank, Recording, SupervisionSegment
from lhotse.dataset import K2SpeechRecognitionDataset, OnTheFlyFeatures
from lhotse.supervision import AlignmentItem

soundfile.write("call.wav", 0.1 * np.random.default_rng(0).standard_normal(160000), 16000)
call = Recording.from_file("call.wav").to_cut()
words = [AlignmentItem("good", 5.1, 0.3), AlignmentItem("morning", 5.5, 0.6)]
call.supervisions = [SupervisionSegment("utterance", call.recording_id, 5.0, 1.5, text="good morning").with_alignment("word", words)]
cuts = CutSet.from_cuts([call]).trim_to_supervisions().to_eager()
cut = cuts[0]


def starts(supervision):
    return [item.start for item in supervision.alignment["word"]]


batch = K2SpeechRecognitionDataset(input_strategy=OnTheFlyFeatures(Fbank()))[cuts]
found = {"cut": (cut.start, cut.duration), "utterance in the cut": cut.supervisions[0].start, "words in the cut": starts(cut.supervisions[0]),
         "samples of words, whole recording": int(call.supervisions_audio_mask("word").sum()),
         "samples of words, cut": int(cut.supervisions_audio_mask("word").sum()),
         "frames of the batch": batch["inputs"].shape[1], "word_start of the batch": batch["supervisions"]["word_start"],
         "durations by trimmed_supervisions": [item.duration for item in cut.trimmed_supervisions[0].alignment["word"]],
         "two appended cuts": [(supervision.start, starts(supervision)) for supervision in cut.append(cut).supervisions]}
for name, value in found.items():
    print("%-34s %s" % (name, value))
expected = {"cut": (5.0, 1.5), "utterance in the cut": 0.0, "words in the cut": [5.1, 5.5], "samples of words, whole recording": 14400,
            "samples of words, cut": 0, "frames of the batch": 150, "word_start of the batch": [[510, 550]],
            "durations by trimmed_supervisions": [-3.6, -4.0], "two appended cuts": [(0.0, [5.1, 5.5]), (1.5, [5.1, 5.5])]}
sys.exit(0 if found == expected else "CHANGED")
PYTHON
