"""Number words of Kyrgyz, Kazakh and Turkish.

The words of integers are those that espeak-ng speaks for the digits; tests/text/test_turkic_numbers.py compares the phonemes and
lists the exceptions, e.g. espeak-ng's Kyrgyz has no word for 1,000,000,000. num2words has no Kyrgyz and writes Turkish numbers as
one word, as on checks; elsewhere their words are separate (spelling rules of the Turkish Language Association).
"""
import collections

_Words = collections.namedtuple("_Words", "ones tens hundred scales one_before minus whole of_parts point")
_Words.__doc__ = """The words of a language.

ones: 0 to 9. tens: 10 to 90. hundred. scales: powers of 1000 from 1000. one_before: which of 100 and 1000 have the word for one
before them. minus. whole: after the whole part of a fraction. of_parts: the denominators 10, 100 and so on; empty if the digits
after the word ``point`` are read as they are."""


def _words(ones, tens, hundred, scales, one_before, minus, whole=None, of_parts="", point=None):
    return _Words(ones.split(), tens.split(), hundred, scales.split(), one_before, minus, whole,
                  [part.strip() for part in of_parts.split(",") if part], point)


_LANGUAGES = {
    "ky": _words("нөл бир эки үч төрт беш алты жети сегиз тогуз", "он жыйырма отуз кырк элүү алтымыш жетимиш сексен токсон",
                 "жүз", "миң миллион миллиард триллион", (100, 1000), "минус", "бүтүн",
                 "ондон, жүздөн, миңден, он миңден, жүз миңден, миллиондон"),
    "kk": _words("нөл бір екі үш төрт бес алты жеті сегіз тоғыз", "он жиырма отыз қырық елу алпыс жетпіс сексен тоқсан",
                 "жүз", "мың миллион миллиард триллион", (1000,), "минус", "бүтін",
                 "оннан, жүзден, мыңнан, он мыңнан, жүз мыңнан, миллионнан"),
    "tr": _words("sıfır bir iki üç dört beş altı yedi sekiz dokuz", "on yirmi otuz kırk elli altmış yetmiş seksen doksan",
                 "yüz", "bin milyon milyar trilyon", (), "eksi", point="virgül"),
}
CODES = tuple(_LANGUAGES)


def number_words(language, whole, fraction="", negative=False):
    """The words of a number.

    Args:
      language: one of :data:`CODES`.
      whole: digits before the decimal separator, e.g. ``"12"``.
      fraction: digits after it.
      negative: whether there is a minus sign.

    Returns:
      str, or None if the language has no words for the number.
    """
    table = _LANGUAGES[language]
    words = _whole(table, int(whole))
    if words is None or negative and not int(whole + fraction):
        return None
    if fraction and table.point:
        # zeros are spoken one by one, the rest as a number
        rest = fraction.lstrip("0")
        words += [table.point] + [table.ones[0]] * (len(fraction) - len(rest)) + (_whole(table, int(rest)) if rest else [])
    elif fraction:
        if len(fraction) > len(table.of_parts):
            return None
        words += [table.whole, table.of_parts[len(fraction) - 1]] + _whole(table, int(fraction))
    return " ".join(([table.minus] if negative else []) + words)


def _whole(table, number):
    """List of words of an integer from 0, or None for one that is too large."""
    if number == 0:
        return [table.ones[0]]
    groups = []
    while number:
        number, group = divmod(number, 1000)
        groups.append(group)
    if len(groups) > len(table.scales) + 1:
        return None
    words = []
    for power in reversed(range(len(groups))):
        group = groups[power]
        if not group:
            continue
        if not (power == 1 and group == 1 and 1000 not in table.one_before):
            words += _below_thousand(table, group)
        if power:
            words.append(table.scales[power - 1])
    return words


def _below_thousand(table, number):
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    words = []
    if hundreds:
        words += ([table.ones[hundreds]] if hundreds > 1 or 100 in table.one_before else []) + [table.hundred]
    return words + ([table.tens[tens - 1]] if tens else []) + ([table.ones[ones]] if ones else [])
