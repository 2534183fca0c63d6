"""Time of the LF-MMI loss and its gradient compared with CTC's, alone and within a training step of the mini model.

    python benchmarks/lfmmi.py --order 3 --sentences 2000

The transcripts are random digit strings; the logits and features are random numbers.
"""
import argparse
import os
import tempfile
import time

import network
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.losses import CTCLoss, LFMMILoss
from open_seq2seq.text.vocabulary import REPOSITORY, Vocabulary

DIGITS = "zero one two three four five six seven eight nine".split()
VOCABULARY = os.path.join(REPOSITORY, "open_seq2seq", "test_utils", "toy_speech_data", "vocab.txt")


def losses(order, sentences, folder):
    """dict from a name to a loss."""
    draw, path = np.random.RandomState(0), os.path.join(folder, "train.csv")
    with open(path, "w") as file:
        file.write("wav_filename,wav_filesize,transcript\n")
        for number in range(sentences):
            file.write("%d.wav,1,%s\n" % (number, " ".join(draw.choice(DIGITS, draw.randint(1, 8)))))
    params = {parameter.name: parameter.default for parameter in LFMMILoss.PARAMETERS}
    params.update(transcripts=[path], ngram_order=order, l2_regularize=5e-5)
    return {"CTC": CTCLoss({"mask_nan": True}), "LF-MMI": LFMMILoss(params, data_params={
        "vocab_file": VOCABULARY, "normalization": None, "unknown_characters": None, "dataset_files": [path]})}


def seconds(session, fetches, rounds):
    """The median time of a run."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        session.run(fetches)
        times.append(time.perf_counter() - begin)
    return sorted(times[2:])[len(times[2:]) // 2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--order", type=int, default=3, help="labels of an n-gram")
    parser.add_argument("--sentences", type=int, default=2000, help="transcripts that the n-gram is estimated from")
    parser.add_argument("--rounds", type=int, default=40, help="runs of each")
    network.add_arguments(parser, seconds=0.0)
    parser.set_defaults(model="mini")
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    vocabulary, config = Vocabulary.from_file(VOCABULARY), Cpu().session_config()
    draw = np.random.RandomState(1)
    texts = [" ".join(draw.choice(DIGITS, 4)) for _ in range(case.batch_size)]
    lengths = np.array([len(text) for text in texts], np.int32)
    labels = np.zeros([len(texts), lengths.max()], np.int32)
    for row, text in zip(labels, texts):
        row[:len(text)] = vocabulary.encode(text)
    # of the mini config: a frame of output for 4 of input
    frames = case.frames // 4
    built = network.build(case, "train", config, True)
    step = seconds(built.session, built.fetches, arguments.rounds)
    alone = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, loss in losses(arguments.order, arguments.sentences, folder).items():
            with tf.Graph().as_default(), tf.Session(config=config) as session:
                # a variable: TensorFlow would compute the loss of a constant only once
                logits = tf.get_variable("logits", [case.batch_size, frames, vocabulary.size + 1],
                                         initializer=tf.random_normal_initializer(seed=1), use_resource=False)
                session.run(logits.initializer)
                output = loss(logits, tf.fill([case.batch_size], frames), tf.constant(labels), tf.constant(lengths))
                fetches = [output.loss, tf.gradients(output.loss, logits)[0]]
                alone[name] = seconds(session, fetches, arguments.rounds)
            if name != "CTC":
                print("%d states in the denominator of %s" % (loss.num_states, name))
    print("batch %d x %d output frames" % (case.batch_size, frames))
    for name in alone:
        print("%-6s  loss and gradient %7.2f ms (%.2f of CTC)   training step %7.1f ms (%.2f of CTC)" % (
            name, 1e3 * alone[name], alone[name] / alone["CTC"], 1e3 * (step - alone["CTC"] + alone[name]),
            (step - alone["CTC"] + alone[name]) / step))


if __name__ == "__main__":
    main()
