#!/usr/bin/env bash
# node-wav and wav-decoder read the lowest 24-bit sample as the highest: clipped recordings get full-scale clicks.
#
# Software:  npm packages node-wav 0.0.2 and wav-decoder 1.3.0, Node.js 20.20.2; files written by soundfile 0.14.0
# Seen:      2026-11-29
# Behavior:  The sample -8388608 (-1.0) of a 24-bit WAV is decoded as +1.0000001, its neighbor -8388607 as -0.9999999. The two packages agree,
#            16 and 32 bits are right. A tone of 440 Hz that is 6 dB too loud and clipped at full scale has a third of its samples there:
#            the whole negative half becomes positive.
# Hurt:      whoever recognizes or inspects recordings in Node.js or a browser by these packages: loud passages of overloaded 24-bit
#            recordings turn into full-scale clicks, while other tools read the same files well, and all other recordings are right.
# What to do: replace samples above 1 by -1 after decoding, or convert such files to 16 bits first.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages soundfile==0.14.0 numpy==2.4.6
node --version
npm install --silent --no-audit --no-fund --prefix "$folder" node-wav@0.0.2 wav-decoder@1.3.0 > npm.log 2>&1 || { cat npm.log; exit 1; }
"$python" - <<'PYTHON'
import numpy as np
import soundfile

tone = (2 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).clip(-1, 1)
for bits in (16, 24, 32):
    soundfile.write("clipped%d.wav" % bits, tone, 16000, subtype="PCM_%d" % bits)
    back, _ = soundfile.read("clipped%d.wav" % bits)
    print("%d bits, soundfile:   minimum %.4f, mean %.4f, at most -0.9999: %.1f %%"
          % (bits, back.min(), back.mean(), 100 * (back <= -0.9999).mean()))
PYTHON
cat > read.js <<'NODE'
const fs = require("fs"), nodeWav = require("node-wav"), wavDecoder = require("wav-decoder");
const describe = signal => {
    const mean = signal.reduce((sum, value) => sum + value, 0) / signal.length;
    return [Math.min(...signal).toFixed(4), mean.toFixed(4), Math.max(...signal).toFixed(7)].join(" ");
};
(async () => {
    const seen = [];
    for (const bits of [16, 24, 32]) {
        const bytes = fs.readFileSync(`clipped${bits}.wav`);
        const results = [nodeWav.decode(bytes), await wavDecoder.decode(bytes)].map(audio => audio.channelData[0]);
        const names = ["node-wav", "wav-decoder"];
        results.forEach((signal, index) => console.log(`${bits} bits, ${names[index]}: minimum, mean, maximum`, describe(signal)));
        seen.push(results.map(signal => Math.min(...signal) > -0.999 && Math.max(...signal) > 1));
    }
    const asDescribed = JSON.stringify(seen) === "[[false,false],[true,true],[false,false]]";
    if (!asDescribed) console.error("CHANGED", JSON.stringify(seen));
    process.exit(asDescribed ? 0 : 1);
})();
NODE
node read.js
