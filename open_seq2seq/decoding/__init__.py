"""Decoders of label sequences: a network's outputs -> transcripts.

:func:`make_decoder` makes a :class:`~open_seq2seq.decoding.decoder.Decoder` of a vocabulary and checked options.
"""


def make_decoder(vocabulary, options, verbose=False, log=None):
    """The decoder that ``options`` describe.

    Args:
      vocabulary: a ``Vocabulary``.
      options: a ``decoding.options.DecodingOptions``.
      verbose: print which beam search it is.
      log: function of a line that is printed; None: ``log_line``.

    Returns:
      A :class:`~open_seq2seq.decoding.decoder.Decoder`; to be closed.

    Raises:
      DataError: the language model or another file of the options is missing, damaged or of another alphabet.
      UsageError: a package that the search needs is not installed, or a hot word has characters outside the vocabulary.
    """
    # the search needs packages that greedy decoding does not
    from open_seq2seq.decoding.options import GREEDY
    if options.decoding == GREEDY:
        from open_seq2seq.decoding.greedy import GreedyDecoder
        return GreedyDecoder(vocabulary)
    from open_seq2seq.decoding.beam_search import BeamSearchDecoder
    return BeamSearchDecoder(vocabulary, options, verbose, log)
