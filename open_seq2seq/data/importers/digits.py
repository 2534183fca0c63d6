"""Spoken digit strings: the words, and how long a string is."""

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SHORTEST_STRING = 1  # digits in an utterance
LONGEST_STRING = 7


def transcript_of(digits):
    """``[3, 0]`` -> ``"three zero"``."""
    return " ".join(DIGIT_WORDS[digit] for digit in digits)
