"""What the corpora of spoken digit strings share."""

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
GERMAN_DIGIT_WORDS = ("null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
SHORTEST_STRING = 1  # digits in an utterance
LONGEST_STRING = 7


def transcript_of(digits, words=DIGIT_WORDS):
    """``[3, 0]`` -> ``"three zero"``."""
    return " ".join(words[digit] for digit in digits)
