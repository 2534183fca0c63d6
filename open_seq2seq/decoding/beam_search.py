"""Beam search (Graves and Jaitly, 2014; Hannun et al., 2014) with an n-gram language model, in processes next to the network."""
from open_seq2seq.decoding.decoder import Decoder
from open_seq2seq.decoding.language_model import search_spec
from open_seq2seq.decoding.options import BEAM, COQUI
from open_seq2seq.decoding.worker_pool import WorkerPool
from open_seq2seq.log_lines import log_line


class BeamSearchDecoder(Decoder):
    """Transcripts with the highest score that the search finds; see docs/decoding.md.

    Args:
      vocabulary: a ``Vocabulary``.
      options: the ``DecodingOptions``.
      verbose: print which search it is.
      log: function of a line that is printed; None: ``log_line``.

    Raises:
      DataError, UsageError: see :func:`language_model.search_spec`.
    """

    name = BEAM

    def __init__(self, vocabulary, options, verbose=False, log=None):
        super().__init__(vocabulary)
        self._spec, notes = search_spec(vocabulary, options)
        self._pool = WorkerPool(self._spec, options.decoder_workers)
        for line in [self.describe()] * verbose + ["Note: " + note for note in notes]:
            (log or log_line)(line)

    def submit(self, logits, lengths, characters=False):
        return self._pool.submit(self.log_probabilities(logits, lengths), characters)

    def close(self):
        self._pool.close()

    def describe(self):
        """A sentence on the search."""
        options, library = self._spec.options, self._spec.library
        package = "coqui_stt_ctcdecoder" if library == COQUI else "pyctcdecode"
        text = "Beam search: width %d, %s, %d process%s" % (options.beam_width, package, self._pool.size,
                                                             "" if self._pool.size == 1 else "es")
        if options.lm_path is None:
            return text + ", no language model"
        return "%s; language model %s, alpha %g, beta %g, %s" % (
            text, options.lm_path, options.alpha, options.beta,
            "words of the lexicon only" if self._spec.is_constrained else "any word")
