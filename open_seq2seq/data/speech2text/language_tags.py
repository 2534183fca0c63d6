"""Language tags: the first label of a transcript says its language, where one output writes several languages."""
import re

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.rejection import UNKNOWN_LANGUAGE, RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.text.vocabulary import LANGUAGE


class LanguageTags:
    """The tags of rows.

    Args:
      source: a column's name, or a dict from manifests to languages; None: no tags.
      vocabulary: Vocabulary.

    Raises:
      DataError: the vocabulary has no tag, or not that of a manifest.
    """

    def __init__(self, source, vocabulary):
        self._source, self._vocabulary = source, vocabulary
        if source is None:
            return
        if not vocabulary.languages:
            raise DataError('data_layer_params["language_tags"] is given, but the vocabulary has no tags such as <en>; '
                            "scripts/make_vocab.py --language_tags writes them")
        if isinstance(source, dict):
            for manifest, language in source.items():
                if language not in vocabulary.languages:
                    raise DataError("%s has the language %r, but the vocabulary has no tag <%s>, only %s. Correct "
                                    'data_layer_params["language_tags"], or make the vocabulary from all languages' % (
                                        manifest, language, language, shown_tags(vocabulary)))

    @classmethod
    def of(cls, params, vocabulary):
        """Those of a data layer's params; data layers of other classes may lack the key."""
        return cls(params.get("language_tags"), vocabulary)

    def language_of(self, row):
        """The language of a ManifestRow or Utterance; None without tags.

        Raises:
          RejectedData: the row has no language. DataError: the manifest is not in the dict.
        """
        if self._source is None:
            return None
        if isinstance(self._source, dict):
            if row.manifest not in self._source:
                raise DataError('data_layer_params["language_tags"] has no language for %s, only for %s; add it' % (
                    row.manifest, ", ".join(self._source)))
            return self._source[row.manifest]
        language = dict(row.columns).get(self._source, "")
        if not language:
            raise RejectedData(UNKNOWN_LANGUAGE, 'the column "%s" is empty or missing' % self._source)
        return language

    def labels_of(self, row):
        """The labels before those of a row's transcript: a tuple of the tag, or empty without tags.

        Raises:
          RejectedData: the row has no language, or one without a tag.
        """
        language = self.language_of(row)
        if language is None:
            return ()
        if language not in self._vocabulary.languages:
            raise RejectedData(UNKNOWN_LANGUAGE, "the language is %r, and the vocabulary has %s" % (
                language, shown_tags(self._vocabulary)))
        return (self._vocabulary.languages[language],)


def shown_tags(vocabulary):
    """The tags of a vocabulary for a message."""
    return ", ".join("<%s>" % language for language in vocabulary.languages)


def check_rules(params, path, report):
    """Reports invalid languages among checked params; ``path`` names them."""
    tags = params["language_tags"]
    for manifest, language in (tags.items() if isinstance(tags, dict) else ()):
        if not isinstance(language, str) or not re.fullmatch(LANGUAGE, language):
            report.problem(child_path(child_path(path, "language_tags"), manifest), "is %r, expected a language of letters, "
                           'digits, - and _, e.g. "ky"' % (language,))
