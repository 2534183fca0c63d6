"""The characters of transcripts: how often, where and of which script they are, and which are probably mistakes."""
import collections
import unicodedata

from open_seq2seq.text.vocabulary import check_labels, described

EXAMPLES = 3
MOST_SHOWN = 8
COMMON = "common"
_EAST_ASIAN = frozenset(["CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"])
# words of these are not separated by spaces, so foreign letters in them say nothing
_WITHOUT_SPACES = frozenset(["EAST ASIAN", "THAI", "LAO", "KHMER", "MYANMAR"])

# letters that look alike, position by position; a blank where a script has none
_LOOK_ALIKE = {
    "LATIN": "aceopxyijshvABCEHIKMNOPTXYZSJ\u0275\u0259",
    "CYRILLIC": "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u04bb \u0410\u0412\u0421"
                "\u0415\u041d\u0406\u041a\u041c \u041e\u0420\u0422\u0425\u04ae \u0405\u0408\u04e9\u04d9",
    "GREEK": "   \u03bf\u03c1\u03c7     \u03bd\u0391\u0392 "
             "\u0395\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a7\u03a5\u0396    ",
}
_FAMILIES = (
    ("apostrophes", "'\u2019\u2018\u02bc\u02b9\u00b4`\u2032\uff07"),
    ("dashes", "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"),
    ("quotation marks", "\"\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033"),
    ("forms of the Arabic letter kaf", "\u0643\u06a9"), ("forms of the Arabic letter yeh", "\u064a\u06cc\u0649"),
    ("forms of the Arabic letter heh", "\u0647\u06c1\u06be\u06d5"), ("letters schwa", "\u0259\u01dd\u04d9"),
    ("forms of s with a mark below", "\u015f\u0219"), ("forms of t with a mark below", "\u0163\u021b"),
)


def script_of(character):
    """The script of a letter as Unicode's names begin, e.g. "LATIN"; "common" for anything but letters."""
    if not unicodedata.category(character).startswith("L"):
        return COMMON
    plain = unicodedata.normalize("NFKC", character)
    first = unicodedata.name(plain[0] if plain.strip() else character, "").split(" ")[0]
    if first in _EAST_ASIAN:
        return "EAST ASIAN"
    return first if first not in ("", "MODIFIER") else COMMON


def look_alike(character, script):
    """The letter of ``script`` that looks like a letter of another one, or None."""
    place = _LOOK_ALIKE.get(script_of(character), "").find(character)
    found = _LOOK_ALIKE[script][place:place + 1] if place >= 0 and script in _LOOK_ALIKE else ""
    return found if found.strip() else None


class CharacterTable:
    """Counts the characters of transcripts.

    Attributes:
      counts: Counter, occurrences of each character.
      rows_of: Counter, transcripts that have each character.
      examples: dict from character to a list of up to three (place, transcript).
      num_rows: number of transcripts.
    """

    def __init__(self):
        self.counts, self.rows_of, self.examples, self.num_rows = collections.Counter(), collections.Counter(), {}, 0
        self._rows_by_characters = {}
        self._mixed, self._foreign = collections.OrderedDict(), collections.OrderedDict()
        self._scripts = {}

    def add(self, place, text):
        """Counts a transcript in composed form; ``place`` names it, e.g. "train.csv:12"."""
        self.counts.update(text)
        characters = "".join(sorted(set(text)))
        self._rows_by_characters.setdefault(characters, []).append(self.num_rows)
        self.num_rows += 1
        for character in characters:
            self.rows_of[character] += 1
            examples = self.examples.setdefault(character, [])
            if len(examples) < EXAMPLES:
                examples.append((place, text))
        scripts = {self._script(character) for character in characters} - {COMMON}
        if len(scripts) > 1:
            self._look_at_words(place, text)

    def _script(self, character):
        script = self._scripts.get(character)
        if script is None:
            script = self._scripts[character] = script_of(character)
        return script

    def _look_at_words(self, place, text):
        main = collections.Counter(script for script in map(self._script, text) if script != COMMON).most_common(1)[0][0]
        for word in text.split():
            scripts = collections.Counter(script for script in map(self._script, word) if script != COMMON)
            if len(scripts) > 1 and not _WITHOUT_SPACES.intersection(scripts):
                self._mixed.setdefault(word, [0, place, scripts.most_common(1)[0][0]])[0] += 1
            elif len(scripts) == 1 and main not in scripts and all(
                    self._script(letter) == COMMON or look_alike(letter, main) for letter in word):
                self._foreign.setdefault(word, [0, place, main])[0] += 1

    def rows_with(self, characters):
        """Numbers of the transcripts (from 0) that have any of the characters, a sorted list."""
        wanted = set(characters)
        return sorted(row for found, rows in self._rows_by_characters.items() if wanted.intersection(found) for row in rows)

    def below(self, min_count):
        """The characters with fewer occurrences, the rarest first."""
        return sorted((character for character, count in self.counts.items() if count < min_count),
                      key=lambda character: (self.counts[character], character))

    def thresholds(self, most=12):
        """Values of a minimum count that drop different sets of characters, ascending, beginning with 1, which drops none."""
        counts = sorted(set(self.counts.values()))[:-1]
        steps = [1] + [count + 1 for count in counts]
        if len(steps) > most:
            # round numbers instead of every count
            largest = steps[-1]
            steps = [1] + [factor * 10 ** power for power in range(len(str(largest))) for factor in (2, 5, 10)
                           if factor * 10 ** power <= largest]
        found, last = [], None
        for step in steps:
            dropped = self.below(step)
            if dropped != last:
                found.append(step)
            last = dropped
        return found[:most]

    def impossible(self):
        """Dict from the characters that cannot be labels to the reason."""
        characters = sorted(self.counts)
        problems, _ = check_labels(characters)
        # of several spaces the usual one can stay
        return collections.OrderedDict((characters[index], text) for index, text in problems if characters[index] != " ")

    def warnings(self):
        """List of str: what is probably a mistake in the transcripts, and what helps."""
        found = [self._words_warning(self._mixed, "words with letters of several scripts"),
                 self._words_warning(self._foreign, "words in look-alike letters of another script than their row")]
        spaces = "".join(character for character in self.counts if unicodedata.category(character) == "Zs")
        for name, family in _FAMILIES + (("spaces", spaces),):
            present = sorted(character for character in family if character in self.counts)
            if len(present) > 1:
                found.append('%d %s look alike: %s; choose one with the step {"map": ...}' % (
                    len(present), name, self._listed(present)))
        found += [self._category_warning(test, text) for test, text in (
            (lambda c: unicodedata.category(c) in ("Cc", "Cf"), "control and format characters: %s; they are not letters"),
            (lambda c: unicodedata.category(c)[0] == "N" and not c.isalpha(),
             "digits: %s; the step {\"numbers\": LANGUAGE} writes numbers as words, as they are spoken"),
            (lambda c: unicodedata.category(c)[0] == "M", "combining marks that have no composed form: %s; each is a label"),
            (lambda c: unicodedata.category(c)[0] in "PS" and c not in "'-",
             "punctuation and symbols: %s; the step \"punctuation\" removes punctuation, a map replaces symbols"),
            (lambda c: unicodedata.category(c)[0] == "L" and unicodedata.normalize("NFKC", c) != c,
             "compatibility forms of letters: %s; the step \"nfkc\" converts them"),
            (lambda c: c == "\u0640", "the Arabic tatweel only stretches words: %s; remove it with the step {\"map\": ...}"),
            (lambda c: c != c.lower() and all(lower in self.counts for lower in c.lower()),
             "letters in both cases: %s; --lower or the step \"lower\" makes them one"))]
        return [text for text in found if text]

    def _words_warning(self, words, text):
        if not words:
            return None
        shown = sorted(words.items(), key=lambda item: (-item[1][0], item[0]))[:MOST_SHOWN]
        return "%s: %d: %s%s" % (text, len(words), "; ".join(
            "%r %d times, first in %s%s" % (word, count, place, self._foreign_letters(word, main))
            for word, (count, place, main) in shown), "; ..." if len(words) > MOST_SHOWN else "")

    def _foreign_letters(self, word, main):
        pairs = [(letter, look_alike(letter, main)) for letter in dict.fromkeys(word)
                 if self._script(letter) not in (main, COMMON)]
        shown = ", ".join("%s%s" % (described(letter), ", which looks like %s" % described(other) if other else "")
                          for letter, other in pairs)
        return " (%s)" % shown if shown else ""

    def _category_warning(self, test, text):
        present = sorted(filter(test, self.counts), key=lambda character: (-self.counts[character], character))
        return text % self._listed(present) if present else None

    def _listed(self, characters):
        return ", ".join("%s %d" % (described(character), self.counts[character]) for character in characters[:MOST_SHOWN]) + (
            ", ... (%d in all)" % len(characters) if len(characters) > MOST_SHOWN else "")
