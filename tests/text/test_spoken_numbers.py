"""Numbers as words: what is read, and what is refused instead of being read wrongly."""
import subprocess
import sys

import pytest

from open_seq2seq.errors import DataError
from open_seq2seq.text.spoken_numbers import NumberReader
from tests.paths import REPOSITORY

pytest.importorskip("num2words")


@pytest.mark.parametrize("language, text, words", [
    ("en", "I have 3 cats, 1,000 dogs and -5.05 (21).",
     "I have three cats, one thousand dogs and minus five point zero five (twenty one)."),
    ("en", "1,234.5", "one thousand two hundred and thirty four point five"),
    ("en", "\u201c7\u201d? no", "\u201cseven\u201d? no"),
    ("en", "no number, mp and \u4e94", "no number, mp and \u4e94"),
    ("de", "1.000 \u22122,75", "eintausend minus zwei Komma sieben f\u00fcnf"),
    ("fr", "99", "quatre vingt dix neuf"),
    ("ru", "3 2,05 -21", "\u0442\u0440\u0438 \u0434\u0432\u0435 \u0446\u0435\u043b\u044b\u0445 \u043f\u044f\u0442\u044c "
                         "\u0441\u043e\u0442\u044b\u0445 \u043c\u0438\u043d\u0443\u0441 \u0434\u0432\u0430\u0434\u0446\u0430"
                         "\u0442\u044c \u043e\u0434\u0438\u043d"),
    ("ky", "12 3,14 \u22125 (1.024) 0,050.", "он эки үч бүтүн жүздөн он төрт минус беш (бир миң жыйырма төрт) "
                                         "нөл бүтүн миңден элүү."),
    ("kk", "1999 0,5", "бір мың тоғыз жүз тоқсан тоғыз нөл бүтін оннан бес"),
    ("tr", "1.101 -2,05 3,0", "bin yüz bir eksi iki virgül sıfır beş üç virgül sıfır"),
    ("kz", "5", "\u0431\u0435\u0441"),
    ("ar", "\u0663", "\u062b\u0644\u0627\u062b\u0629"),  # an Arabic digit
    ("ja", "\u79c1\u306f3\u5339", "\u79c1\u306f\u4e09\u5339"),
])
def test_readings(language, text, words):
    assert NumberReader(language).read(text) == words


def test_a_hyphen_of_the_vocabulary_stays_in_number_words():
    assert NumberReader("en").read("21", keep="-") == "twenty-one"


@pytest.mark.parametrize("language, text", [
    # not plain numbers
    ("en", "1st"), ("en", "mp3"), ("en", "10:30"), ("en", "2-3"), ("en", "1/2"), ("en", "\u00bd"), ("en", "\u2163"), ("en", "$5"),
    ("en", "20%"), ("en", "1,00"), ("en", "1.2.3"), ("en", "+5"), ("en", "\u20135"), ("de", "1.5"), ("de", "3,14,15"),
    # not quantities, or ambiguous
    ("ky", "5-класс"), ("ky", "3.14"), ("ky", "0,1234567"), ("ky", "-0"), ("tr", "05"),
    ("en", "007"), ("en", "1 234"), ("en", "1\u202f234\u202f567"), ("en", "1" * 16),
    # what num2words reads like another number: zeros after the point, signs, fractions
    ("en", "0.50"), ("en", "-0"), ("bn", "-5"), ("vi", "-5"), ("ru", "-0,5"), ("it", "0,5"),
    ("fa", "0,05"), ("vi", "0,5"), ("ar", "0,5"), ("ar", "3,14"), ("cy", "3.14"),
    # what it cannot read, or reads with signs
    ("pl", "-5"), ("kn", "-5"), ("ce", "-5"), ("kn", "1000000000000"),
])
def test_what_cannot_be_read_reliably_is_refused(language, text):
    with pytest.raises(DataError) as error:
        NumberReader(language).read("a %s b" % text)
    assert "words" in str(error.value) and repr(text)[1:-1] in str(error.value)


@pytest.mark.parametrize("language", ["en", "de", "ru", "kz", "fr", "uk", "tr", "ja", "ky", "kk"])
def test_different_numbers_have_different_words(language):
    reader = NumberReader(language)
    assert len({reader.read(str(number)) for number in range(2200)}) == 2200


@pytest.mark.parametrize("language", ["uz", "EN", "xx", "en_XX", "am", ""])
def test_a_language_without_number_words(language):
    with pytest.raises(DataError) as error:
        NumberReader(language)
    assert repr(language) in str(error.value) and " ru " in str(error.value)


def test_the_missing_package_is_named_with_the_command_that_installs_it():
    code = ("import sys; sys.modules['num2words'] = None\n"
            "from open_seq2seq.text.spoken_numbers import NumberReader\n"
            "NumberReader('en')")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    assert "num2words is not installed" in done.stderr and "setup.sh --data" in done.stderr
    done = subprocess.run([sys.executable, "-c", code.replace("'en')", "'ky').read('5')")], cwd=REPOSITORY)
    assert done.returncode == 0  # its own table
