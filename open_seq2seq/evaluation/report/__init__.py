"""The report of an evaluation: a page with the errors of every utterance, in one file that needs no network."""
