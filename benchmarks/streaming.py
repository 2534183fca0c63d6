"""Streaming: latency of words in real time, processor time for a second of audio, WER next to that of whole recordings, memory.

    python benchmarks/streaming.py --model RUN_OR_EXPORT --data dev.csv [--parts latency,wer,memory] [--minutes 60]

The stream is the recordings of the data set one after the other with pauses. ``latency`` plays it in real time in blocks of
0.1 s and takes the time from the end of each word (where its sound ends, as in the transcript) until it is final. Run it while
nothing else runs.
"""
import argparse
import csv
import json
import os
import resource
import sys
import time

import numpy as np
import soundfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval  # noqa: E402
from open_seq2seq.evaluation.error_rates import transcript_errors  # noqa: E402
from open_seq2seq.export import load_model  # noqa: E402
from open_seq2seq.transcription import Transcriber  # noqa: E402
from open_seq2seq.transcription.streaming import StreamingTranscriber  # noqa: E402

BLOCK_SECONDS = 0.1
PAUSE_SECONDS, NOISE = 0.8, 1e-4
LATENCIES = (0.3, 0.5, 1.0)


def recordings_of(path, sample_rate):
    """List of (samples, transcript) of a manifest."""
    found = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            samples, rate = soundfile.read(os.path.join(os.path.dirname(path), row["wav_filename"]), dtype="float32")
            if rate != sample_rate:
                raise SystemExit("%s has %d Hz, expected %d" % (row["wav_filename"], rate, sample_rate))
            found.append((samples, row["transcript"]))
    return found


def joined(recordings, sample_rate):
    """(samples of all with pauses between them, list of (start, end) in s of each)."""
    noise, pieces, spans, position = np.random.RandomState(0), [], [], 0
    for samples, _ in recordings:
        pieces += [samples, (NOISE * noise.normal(size=int(PAUSE_SECONDS * sample_rate))).astype(np.float32)]
        spans.append((position / sample_rate, (position + len(samples)) / sample_rate))
        position += len(pieces[-2]) + len(pieces[-1])
    return np.concatenate(pieces), spans


def measure_latency(model, recordings, latency, seconds):
    """Plays a stream in real time; {seconds after the end of words until they are final, ...}."""
    rate = model.description.sample_rate
    samples, _ = joined(recordings, rate)
    samples = samples[:int(seconds * rate)]
    block, delays, used, late = int(BLOCK_SECONDS * rate), [], [], 0.0
    with StreamingTranscriber(model, latency) as stream:
        stream.feed(samples[:rate])      # what is computed once is not part of the figures
        stream.finish()
        began = time.monotonic()
        for start in range(0, len(samples) - block, block):
            # a block arrives once its last sample was spoken
            arrival = began + (start + block) / rate
            time.sleep(max(arrival - time.monotonic(), 0))
            late = max(late, time.monotonic() - arrival)
            processor = time.process_time()
            texts = stream.feed(samples[start:start + block])
            used.append(time.process_time() - processor)
            delays += [time.monotonic() - began - word.end for text in texts if text.final for word in text.words]
        stream.finish()
    delays = np.array(delays)
    return {"latency": latency, "words": len(delays), "median_s": round(float(np.median(delays)), 3),
            "p95_s": round(float(np.percentile(delays, 95)), 3), "longest_s": round(float(delays.max()), 3),
            "within_limit": round(float(np.mean(delays <= latency + 0.4)), 4),
            "real_time_factor": round(sum(used) / seconds, 4), "latest_block_s": round(late, 3)}


def measure_wer(model, recordings, latency):
    """WER of a stream of all recordings and of each as a stream, next to that of the recordings, with 95 % intervals."""
    rate, block = model.description.sample_rate, int(BLOCK_SECONDS * model.description.sample_rate)
    transcriber = Transcriber(model)
    texts = {"recordings": [transcriber.transcribe(samples).text for samples, _ in recordings], "streams": [], "one_stream": []}
    processor, audio = time.process_time(), sum(len(samples) for samples, _ in recordings) / rate

    def final_words(stream, samples):
        texts_of_stream = []
        for start in range(0, len(samples), block):
            texts_of_stream += stream.feed(samples[start:start + block])
        return [word for text in texts_of_stream + stream.finish() if text.final for word in text.words]

    with StreamingTranscriber(model, latency) as stream:
        for samples, _ in recordings:
            texts["streams"].append(stream.separator.join(word.text for word in final_words(stream, samples)))
        processor = time.process_time() - processor
        samples, spans = joined(recordings, rate)
        words = final_words(stream, samples)
    for start, end in spans:
        around = PAUSE_SECONDS / 2
        texts["one_stream"].append(" ".join(word.text for word in words if start - around <= word.start < end + around))
    result = {"latency": latency, "real_time_factor": round(processor / audio, 4)}
    for name, found in texts.items():
        result[name] = rates_of([transcript_errors([reference], [text]).word_error_rate
                                 for (_, reference), text in zip(recordings, found)])
    return result


def rates_of(counts):
    """[WER, lower, upper] of the ErrorRates of utterances."""
    edits, words = [one.edits for one in counts], [one.length for one in counts]
    return [round(float(value), 4) for value in (sum(edits) / sum(words),) + tuple(bootstrap_interval(edits, words))]


def measure_memory(model, recordings, minutes):
    """Resident memory in MiB while ``minutes`` of audio are streamed as fast as possible: after each tenth of it."""
    rate = model.description.sample_rate
    samples, _ = joined(recordings, rate)
    block, total, read, resident = int(BLOCK_SECONDS * rate), int(minutes * 60 * rate), 0, []
    with StreamingTranscriber(model, 0.5) as stream:
        while read < total:
            start = read % (len(samples) - block)
            stream.feed(samples[start:start + block])
            read += block
            if read * 10 // total > len(resident):
                resident.append(round(_resident(), 1))
        stream.finish()
    return {"minutes": minutes, "resident_mib": resident, "growth_mib": round(resident[-1] - resident[0], 1),
            "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)}


def _resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2 ** 20


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--parts", default="latency,wer,memory")
    parser.add_argument("--seconds", type=float, default=60, help="of the stream that is played in real time, for each latency")
    parser.add_argument("--minutes", type=float, default=60, help="of the stream whose memory is measured")
    arguments = parser.parse_args()
    figures = {}
    with load_model(arguments.model) as model:
        recordings = recordings_of(arguments.data, model.description.sample_rate)
        for part in arguments.parts.split(","):
            if part == "memory":
                figures[part] = measure_memory(model, recordings, arguments.minutes)
                print(part, figures[part], flush=True)
                continue
            figures[part] = []
            for latency in LATENCIES:
                measured = (measure_latency(model, recordings, latency, arguments.seconds) if part == "latency"
                            else measure_wer(model, recordings, latency))
                print(part, measured, flush=True)
                figures[part].append(measured)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
