"""The word error rate of an exported model, straight from the audio."""
import collections
import sys

import numpy as np

from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.rejection import RejectedData
from open_seq2seq.data.speech2text.vocabulary import Vocabulary
from open_seq2seq.decoders.greedy import collapse
from open_seq2seq.export.references import raise_if_too_many
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.progress import ProgressBar


def transcribe_references(model, references, max_rejected_fraction=0.01):
    """Transcribes the utterances of manifests one by one, so that no padding but a static model's own comes in.

    Args:
      model: a ``LogitModel``.
      references: a ``References``.
      max_rejected_fraction: part of the rows that may be faulty.

    Returns:
      OrderedDict from name to transcript.

    Raises:
      DataError: too many rows are faulty, or all are left out.
    """
    description = model.description
    chosen, rejections = references.select(description, model.extractor.num_frames, description.frames, max_rejected_fraction,
                                           None)
    vocabulary, transcripts = Vocabulary(description.vocabulary), collections.OrderedDict()
    with ProgressBar(len(chosen), description="transcribing") as bar:
        for done, (name, utterance) in enumerate(chosen.items(), 1):
            try:
                waveform = read_audio(utterance.audio_path, description.sample_rate)
            except RejectedData as rejected:
                sys.stderr.write("left out utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                rejections.add(utterance, rejected.reason, str(rejected))
                continue
            transcripts[name] = transcript_of(*model.logits_of_audio([waveform]), vocabulary=vocabulary)
            bar.update(done)
    raise_if_too_many(rejections)
    if len(rejections):
        log_line(rejections.summary())
    return transcripts


def transcript_of(logits, lengths, vocabulary):
    """The best path's text: logits [1, T', V + 1] and lengths [1] -> str."""
    labels = collapse(np.argmax(logits, 2), lengths, vocabulary.size)[0]
    return vocabulary.decode(labels)
