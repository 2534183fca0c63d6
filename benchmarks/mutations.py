"""Damages bytes and texts at random, and what is asked of a reader of files; for benchmarks/mutated_inputs.py."""
import os

HEADER_BYTES = 128
NAN_TEXTS = ("NaN", "Infinity", "-1", "1e308", "1" + "0" * 400, "null", "true", '"text"', "[]", "{}", "0", "2147483648", "0.5",
             "\\u0000")


def mutated(data, random_numbers, is_text):
    """(kind, bytes): ``data`` with one kind of damage."""
    kinds = ["bit", "bits", "cut", "hole", "delete", "insert", "byte"]
    kinds += ["repeat", "nest", "value", "value", "swap", "line"] if is_text else ["header"] * 4 + ["cut", "append"]
    kind, changed = random_numbers.choice(kinds), bytearray(data)
    place = random_numbers.randrange(len(data))
    span = random_numbers.randrange(1, max(2, min(2000, len(data) // 4)))
    if kind == "bit":
        changed[place] ^= 1 << random_numbers.randrange(8)
    elif kind == "bits":
        for _ in range(random_numbers.randrange(2, 20)):
            changed[random_numbers.randrange(len(data))] ^= 1 << random_numbers.randrange(8)
    elif kind == "byte":
        changed[place] = random_numbers.randrange(256)
    elif kind == "cut":
        del changed[place:]
    elif kind == "hole":
        changed[place:place + span] = bytes(len(changed[place:place + span]))
    elif kind == "delete":
        del changed[place:place + span]
    elif kind in ("insert", "append"):
        noise = bytes(random_numbers.randrange(256) for _ in range(span))
        place = place if kind == "insert" else len(data)
        changed[place:place] = noise
    elif kind == "header":
        place = random_numbers.randrange(min(len(data), HEADER_BYTES))
        width = random_numbers.choice([1, 1, 2, 4])
        field = bytes(data[place:place + width])
        flipped = bytes([field[0] ^ 1 << random_numbers.randrange(8)]) + field[1:]
        noise = bytes(random_numbers.randrange(256) for _ in range(width))
        changed[place:place + width] = random_numbers.choice([flipped, noise, bytes(width), b"\xff" * width])
    else:
        changed = bytearray(_mutated_text(data.decode("utf-8"), kind, random_numbers).encode("utf-8"))
    return kind, bytes(changed)


def _mutated_text(text, kind, random_numbers):
    lines = text.splitlines(True)
    if kind == "repeat":
        place = random_numbers.randrange(len(text))
        part = text[place:place + random_numbers.randrange(1, 60)]
        return text[:place] + part + text[place:]
    if kind == "line":
        number = random_numbers.randrange(len(lines))
        added = random_numbers.choice([lines[number], "\n", "\0\n", "\ufeff\n", "\u2028\n", "\u200b\n", "ab\n", "# comment\n",
                                       "x" * 200000 + "\n"])
        return "".join(lines[:number] + [added] + lines[number:])
    if kind == "swap":
        first, second = random_numbers.randrange(len(lines)), random_numbers.randrange(len(lines))
        lines[first], lines[second] = lines[second], lines[first]
        return "".join(lines)
    # a token in the place of another, or a deep nest
    tokens = [(place, place + len(token)) for place, token in _tokens(text)]
    begin, end = random_numbers.choice(tokens) if tokens else (0, len(text))
    if kind == "nest":
        depth = random_numbers.choice([50, 1000, 100000])
        opening, closing = random_numbers.choice(["[]", "{}", "()"])
        opening = '{"a":' if opening == "{" and random_numbers.random() < 0.5 else opening
        return text[:begin] + opening * depth + closing * random_numbers.choice([depth, 0]) + text[end:]
    return text[:begin] + random_numbers.choice(NAN_TEXTS) + text[end:]


def _tokens(text):
    """(place, token) of the words, numbers and quoted texts."""
    place = 0
    for token in text.replace('"', ' " ').split():
        found = text.find(token, place)
        if found >= 0 and token.strip('"{}[]:,'):
            yield found, token.strip(",:")
            place = found + len(token)


class Silent(Exception):
    """A wrong input was accepted without a word."""


class Reader:
    """One reader of files.

    Attributes:
      name: for the table.
      inputs: list of bytes, valid inputs.
      is_text: whether text mutations apply.
    """

    name, is_text, suffix = None, True, ""
    inputs = ()

    def read(self, data, folder):
        """Reads an input.

        Returns:
          (a value that can be compared, list of notes)

        Raises:
          JasperError: the input is refused.
          Silent: a wrong input was accepted.
        """
        raise NotImplementedError

    @staticmethod
    def unverifiable(data):
        """List of (start, end) of the fields of ``data`` whose damage nobody can notice; they are left as they are."""
        return []

    def announced(self, original, valid, kind, data, folder):
        """What can be expected of ``data``, a mutation of ``valid``, which gave ``original``."""
        return original

    def judge(self, original, value):
        """Raises Silent when ``value`` cannot be right for a mutation of the input that gave ``original``."""

    def judge_noted(self, original, value, notes):
        """As ``judge``, for an input that is accepted with ``notes``."""

    def _write(self, data, folder, name):
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path
