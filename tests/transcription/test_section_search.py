"""Decoders that search, in long recordings: the words of greedy decoding where they find the same text; a language model."""
import contextlib

import numpy as np
import pytest

from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.decoding.options import default_options
from open_seq2seq.decoding.word_times import best_path
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.section_search import LONGEST_SECTION, SectionSearch
from open_seq2seq.transcription.segmentation import FOR_FILES, FOR_MICROPHONE, Segmentation
from open_seq2seq.transcription.stitching import LogitPath, Piece


class WholeSections(GreedyDecoder):
    """Decodes greedily, but is given sections of logits as a search is; keeps their lengths."""

    needs_logits = True

    def __init__(self, vocabulary):
        super().__init__(vocabulary)
        self.lengths = []

    def submit(self, logits, lengths, characters=False):
        self.lengths += list(lengths)
        assert logits.shape[:2] == (1, lengths[0])
        return super().submit(logits, lengths, characters)


def transcribed(model, samples, decoder_of=None, **options):
    transcriber = Transcriber(model, **options)
    if decoder_of is not None:
        transcriber._decoder = decoder_of(transcriber._decoder.vocabulary)
    return transcriber.transcribe(samples), transcriber._decoder


def random_words(seed, count):
    generator = np.random.RandomState(seed)
    return ["".join("abcdefgh"[(first + step) % 8] for step in range(0, 3 * generator.randint(1, 5), 3))
            for first in generator.randint(0, 8, count)]


@pytest.mark.parametrize("segmentation", [FOR_FILES, FOR_MICROPHONE, Segmentation(2.0, 3.0, 0.5, False)])
@pytest.mark.parametrize("gaps", [(0.12, 0.3), (0.2, 4.5)])
def test_sections_have_the_words_times_and_confidences_of_the_recording(tones, segmentation, gaps):
    words = random_words(7, 60)
    samples, _ = tones.spoken(words, np.random.RandomState(8).uniform(*gaps, size=61).round(2))
    greedy, _ = transcribed(tones.ToneModel(jitter=1, blind_frames=4), samples, segmentation=segmentation)
    found, decoder = transcribed(tones.ToneModel(jitter=1, blind_frames=4), samples, WholeSections, segmentation=segmentation)
    assert found.text == greedy.text == " ".join(words) and len(decoder.lengths) > 1
    for word, other in zip(found.words, greedy.words):
        assert word[:3] == other[:3] and word.confidence == pytest.approx(other.confidence, rel=1e-4)
    assert max(decoder.lengths) * tones.FRAME / tones.RATE <= LONGEST_SECTION


def test_speech_without_pauses_is_split_between_words_or_in_the_longest_run_of_blanks(tones):
    # "ab" and a space every 10 frames; without spaces in the second case
    for period, split in (([1, 9, 2, 9, 0, 9], 0), ([1, 9, 2, 9, 9, 9], None)):
        labels = np.array((period + [9] * 4) * 400)
        logits = np.full([len(labels), 10], -5, np.float32)
        logits[np.arange(len(labels)), labels] = 5
        decoder = WholeSections(Vocabulary(tones.VOCABULARY))
        search = SectionSearch(decoder, 0.02)
        path = LogitPath(*best_path(logits, np.ones(len(labels), bool)), logits=logits)
        pieces = []
        for first in range(0, len(labels), 250):
            pieces += search.add([Piece(type(path)(*[values[first:first + 250] for values in path]), first, False)])
        pieces += search.end()
        assert np.concatenate([piece.path.labels for piece in pieces]).tolist() == labels.tolist()
        ends = np.cumsum([len(piece.path.labels) for piece in pieces])
        assert [piece.first_frame for piece in pieces] == [0] + ends[:-1].tolist()
        assert max(decoder.lengths) <= LONGEST_SECTION / 0.02 and len(pieces) > 2
        for piece in pieces[1:]:
            assert piece.after_pause == (split == 0)
            assert labels[piece.first_frame - 1] == (0 if split == 0 else 9)


@pytest.mark.parametrize("lexicon", [True, False])
def test_a_language_model_chooses_among_similar_words(tones, tmp_path, lexicon):
    pytest.importorskip("kenlm")
    pytest.importorskip("coqui_stt_ctcdecoder")
    (tmp_path / "lm.arpa").write_text("\\data\\\nngram 1=5\n\n\\1-grams:\n-99\t<s>\n-1\t</s>\n-3\t<unk>\n-0.5\tbad\n-0.5\tface\n"
                                      "\n\\end\\\n")
    # "bab" and "bad" sound the same to this model in the last character
    model = tones.ToneModel()
    logits_of_audio = model.logits_of_audio

    def ambiguous(waveforms):
        logits, lengths = logits_of_audio(waveforms)
        logits[:, :, 2] = np.maximum(logits[:, :, 2], logits[:, :, 4] + 0.3 * (logits[:, :, 4] > 4))
        return logits, lengths
    model.logits_of_audio = ambiguous
    samples, times = tones.spoken(["face", "bad", "face"], [0.3, 0.4, 4.0, 0.3])
    greedy, _ = transcribed(model, samples)
    assert greedy.text == "face bab face"
    options = default_options(decoding="beam", lm_path=str(tmp_path / "lm.arpa"), lexicon=lexicon, decoder_workers=1, alpha=1.0)
    with contextlib.closing(Transcriber(model, decoding=options)) as transcriber:
        found = transcriber.transcribe(samples)
    assert found.text == "face bad face" and "lm.arpa" in transcriber.decoding
    for word, (start, end) in zip(found.words, times):
        assert word.start == pytest.approx(start, abs=0.03) and word.end == pytest.approx(end, abs=0.05)
    assert [character.text for character in found.words[1].characters] == ["b", "a", "d"]
    assert 0.2 < found.words[1].confidence < found.words[0].confidence
