"""Random sentences of Kyrgyz, Kazakh and Turkish with spelled numbers, for corpora of synthetic speech.

A sentence has the order of all three languages: time, who, where, how many, of what kind, what, verb in the past. Parts are
optional except a number or what, and the verb. The nouns after numbers are singular, as the languages require.
"""
import collections

from open_seq2seq.text.turkic_numbers import number_words

_Lexicon = collections.namedtuple("_Lexicon", "times persons places kinds things verbs")
_Lexicon.__doc__ = "Lists of str: words or phrases for each part of a sentence."
# how often a part is in a sentence
_TIME, _PLACE, _NUMBER, _KIND = 0.5, 0.5, 0.7, 0.4


def _lexicon(**parts):
    return _Lexicon(**{name: [phrase.strip() for phrase in text.split(",")] for name, text in parts.items()})


_LEXICONS = {
    "ky": _lexicon(
        times="бүгүн, кечээ, эртең менен, кечинде, түнүндө, былтыр, жайында, кышында, жазында, күзүндө, дүйшөмбүдө, жума күнү, "
              "азыр эле, бир жолу",
        persons="апам, атам, чоң энем, чоң атам, агам, эжем, иним, карындашым, досум, кошунам, мугалим, окуучу, дарыгер, "
                "айдоочу, жазуучу, койчу, дыйкан, Айгүл, Бакыт, Нургүл",
        places="базарда, дүкөндө, үйдө, мектепте, айылда, шаарда, тоодо, көлдө, талаада, короодо, көчөдө, китепканада, "
               "жайлоодо, борбордо, бакчада, токойдо",
        kinds="кызыл, көк, жашыл, сары, ак, кара, чоң, кичине, жаңы, эски, кооз, таттуу, арзан, кымбат, оор, жеңил, боз, узун",
        things="алма, өрүк, жүзүм, нан, китеп, дептер, калем, ат, кой, уй, эчки, тоок, балык, көйнөк, өтүк, калпак, үстөл, "
               "отургуч, терезе, кесе, чыны, бычак, шакек, сүрөт, кат, гүл, дарак, таш, көпүрө, араба",
        verbs="алды, сатты, көрдү, тапты, берди, алып келди, сатып алды, жоготту, санады, көрсөттү, тандады, жөнөттү"),
    "kk": _lexicon(
        times="бүгін, кеше, таңертең, кешке, түнде, былтыр, жазда, қыста, көктемде, күзде, дүйсенбіде, жұма күні, жаңа ғана, "
              "бір күні",
        persons="анам, әкем, әжем, атам, ағам, әпкем, інім, қарындасым, досым, көршім, мұғалім, оқушы, дәрігер, жүргізуші, "
                "жазушы, қойшы, диқан, Айгүл, Болат, Нұрсұлу",
        places="базарда, дүкенде, үйде, мектепте, ауылда, қалада, тауда, көлде, далада, қорада, көшеде, кітапханада, "
               "жайлауда, орталықта, бақшада, орманда",
        kinds="қызыл, көк, жасыл, сары, ақ, қара, үлкен, кішкентай, жаңа, ескі, әдемі, тәтті, арзан, қымбат, ауыр, жеңіл, боз, "
              "ұзын",
        things="алма, өрік, жүзім, нан, кітап, дәптер, қалам, ат, қой, сиыр, ешкі, тауық, балық, көйлек, етік, қалпақ, үстел, "
               "орындық, терезе, кесе, тәрелке, пышақ, сақина, сурет, хат, гүл, ағаш, тас, көпір, арба",
        verbs="алды, сатты, көрді, тапты, берді, алып келді, сатып алды, жоғалтты, санады, көрсетті, таңдады, жіберді"),
    "tr": _lexicon(
        times="bugün, dün, sabahleyin, akşamleyin, geceleyin, geçen yıl, yazın, kışın, ilkbaharda, sonbaharda, pazartesi günü, "
              "cuma günü, az önce, bir gün",
        persons="annem, babam, ninem, dedem, ağabeyim, ablam, kardeşim, kız kardeşim, arkadaşım, komşum, öğretmen, öğrenci, "
                "doktor, şoför, yazar, çoban, çiftçi, Ayşe, Işıl, İbrahim",
        places="pazarda, dükkânda, evde, okulda, köyde, şehirde, dağda, gölde, tarlada, avluda, sokakta, kütüphanede, yaylada, "
               "merkezde, bahçede, ormanda",
        kinds="kırmızı, mavi, yeşil, sarı, beyaz, siyah, büyük, küçük, yeni, eski, güzel, tatlı, ucuz, pahalı, ağır, hafif, "
              "gri, uzun",
        things="elma, kayısı, üzüm, ekmek, kitap, defter, kalem, at, koyun, inek, keçi, tavuk, balık, gömlek, çizme, şapka, "
               "masa, sandalye, pencere, kâse, tabak, bıçak, yüzük, resim, mektup, çiçek, ağaç, taş, köprü, araba",
        verbs="aldı, sattı, gördü, buldu, verdi, getirdi, satın aldı, kaybetti, saydı, gösterdi, seçti, gönderdi"),
}
CODES = tuple(_LEXICONS)


def sentence(language, choose):
    """A random sentence, with capitals where the language has them for names.

    Args:
      language: one of :data:`CODES`.
      choose: ``random.Random``.

    Returns:
      str of 3 to about 20 words, without digits and punctuation.
    """
    lexicon, has_number = _LEXICONS[language], choose.random() < _NUMBER
    parts = [choose.choice(lexicon.times)] if choose.random() < _TIME else []
    parts.append(choose.choice(lexicon.persons))
    if choose.random() < _PLACE:
        parts.append(choose.choice(lexicon.places))
    if has_number:
        parts.append(number_words(language, str(_number(choose))))
    if choose.random() < _KIND:
        parts.append(choose.choice(lexicon.kinds))
    return " ".join(parts + [choose.choice(lexicon.things), choose.choice(lexicon.verbs)])


def _number(choose):
    """A number from 2 to 9999; every length is equally frequent."""
    digits = choose.randint(1, 4)
    return choose.randrange(max(2, 10 ** (digits - 1)), 10 ** digits)
