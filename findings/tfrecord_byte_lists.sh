#!/usr/bin/env bash
# The package tfrecord cuts zero bytes off the end of each byte string of a list: audio in blocks loses samples, or cannot be read.
#
# Software:  tfrecord 1.14.6
# Seen:      2026-11-30, CPython 3.11
# Behavior:  A feature with one byte string is returned as bytes, unchanged. With two or more, the loader makes a NumPy array of type S, whose
#            elements end before their last bytes of zero. Of 2 s of 16-bit audio in blocks of 100 ms, each block that ends in a sample from
#            0 to 255 loses 1 byte (np.frombuffer raises ValueError), each that ends in silence all samples of the silence, without a message.
#            The file is right: the protocol buffer that the package itself decodes holds all bytes.
# Hurt:      whoever stores blocks of audio, encoded features, embeddings or several recordings in one example: lengths differ from
#            utterance to utterance by what they end in, and labels of frames no longer fit.
# What to do: one byte string in a feature, with its lengths in an int64 list; or read the lists by tfrecord.example_pb2 (as below).
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tfrecord==1.14.6 protobuf==7.36.2 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
from tfrecord import example_pb2
from tfrecord.reader import tfrecord_iterator, tfrecord_loader
from tfrecord.writer import TFRecordWriter

random = np.random.RandomState(0)
audio = random.randint(-3000, 3000, 32000).astype("<i2")
audio[1600 * 9 + 800:1600 * 10] = 0      # block 9 ends in 50 ms of silence
audio[1600 * 5 - 1] = 200                # block 4 ends in a sample whose upper byte is 0
audio[1600 * 20 - 1] = 300
blocks = [block.tobytes() for block in audio.reshape(-1, 1600)]
writer = TFRecordWriter("audio.tfrecord")
writer.write({"blocks": (blocks, "byte")})
writer.write({"blocks": (blocks[9:10], "byte")})
writer.close()

several, single = [example["blocks"] for example in tfrecord_loader("audio.tfrecord", None)]
stored = example_pb2.Example()
stored.ParseFromString(bytes(next(tfrecord_iterator("audio.tfrecord"))))
in_file = list(stored.features.feature["blocks"].bytes_list.value)
lost = {number: len(block) - len(read) for number, (block, read) in enumerate(zip(blocks, several)) if block != read}
print("one block: %s, %d of %d bytes" % (type(single).__name__, len(single), len(blocks[9])))
print("20 blocks: array of type %s; bytes that are missing, by block: %s; in the file: %s" % (
    several.dtype, lost, "all" if in_file == blocks else "others"))
try:
    np.frombuffer(several[4], "<i2")
    message = "is read"
except ValueError as error:
    message = "ValueError: %s" % error
print("block 4 as 16-bit samples: %s; block 9: %d samples of 1600" % (message, len(np.frombuffer(several[9], "<i2"))))
sys.exit(0 if single == blocks[9] and in_file == blocks and lost[4] == 1 and lost[9] == 1600 and "ValueError" in message
         else "CHANGED")
PYTHON
