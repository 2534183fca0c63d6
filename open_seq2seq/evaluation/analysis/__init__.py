"""What the scores of a data set's utterances say: totals, groups, intervals, frequent errors, and comparisons of two systems."""
