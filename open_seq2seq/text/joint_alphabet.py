"""The characters of several manifests that get one vocabulary: what each adds to it, and where they contradict each other."""
import collections
import os

from open_seq2seq.text.character_table import script_of

MOST_SHOWN = 10
LONGEST_WORD = 25  # characters; a longer text without spaces is not one word
SMALL_SHARE = 0.05  # of the rows of a manifest; if a limit excludes more, the manifest needs the characters


class JointAlphabet:
    """Counts the characters of each manifest."""

    def __init__(self):
        self._counts, self._texts, self._longest = collections.OrderedDict(), {}, {}

    def add(self, manifest, text):
        """Counts a transcript."""
        self._counts.setdefault(manifest, collections.Counter()).update(text)
        self._texts.setdefault(manifest, []).append("".join(set(text)))
        self._longest[manifest] = max(len(text), self._longest.get(manifest, 0))

    @property
    def is_joint(self):
        """Whether there are several manifests."""
        return len(self._counts) > 1

    def table(self, excluded):
        """Rows of a table, lists of str: manifest, transcripts, letters by script, characters, those of no other, rows excluded.

        Args:
          excluded: set of the characters that do not enter the vocabulary.
        """
        lines = []
        for manifest, counts in self._counts.items():
            own = self.only_in(manifest)
            scripts = collections.Counter()
            for character, count in counts.items():
                if character.isalpha():
                    scripts[script_of(character).lower()] += count
            lines.append([os.path.basename(manifest), str(len(self._texts[manifest])),
                          ", ".join(script for script, _ in scripts.most_common(3)), str(len(counts)),
                          "%d: %s%s" % (len(own), "".join(own[:20]), "..." if len(own) > 20 else "") if own else "0",
                          "%.2f" % (100.0 * self._share(manifest, excluded))])
        return lines

    def only_in(self, manifest):
        """The characters that only this manifest has, the most frequent first: a list."""
        others = set().union(*(counts for other, counts in self._counts.items() if other != manifest))
        own = self._counts[manifest]
        return sorted((character for character in own if character not in others),
                      key=lambda character: (-own[character], character))

    def _share(self, manifest, characters):
        """Share of a manifest's rows that have one of the characters."""
        texts = self._texts[manifest]
        return sum(not characters.isdisjoint(text) for text in texts) / len(texts)

    def warnings(self, excluded):
        """List of str: where one vocabulary does not fit all manifests, and what helps."""
        found = []
        for manifest in self._counts:
            share = self._share(manifest, excluded)
            if share > SMALL_SHARE:
                found.append("%.0f %% of the rows of %s have an excluded character, so training would reject them. Lower "
                             "--min_count, which counts the rows of all manifests together, or exclude fewer characters"
                             % (100.0 * share, manifest))
        upper = collections.defaultdict(list)
        for manifest, counts in self._counts.items():
            capitals = {character for character in counts if character != character.lower()}
            if counts and capitals:
                upper["capitals"].append(manifest)
            elif any(character != character.upper() for character in counts):
                upper["none"].append(manifest)
        if len(upper) == 2:
            found.append("%s %s capitals, %s %s not: one output would write one language in capitals. Use --lower, and the step "
                         '"lower" in training' % (_listed(upper["capitals"]), _have(upper["capitals"]), _listed(upper["none"]),
                                                  "do" if len(upper["none"]) > 1 else "does"))
        without = [manifest for manifest, counts in self._counts.items()
                   if " " not in counts and self._longest[manifest] > LONGEST_WORD]
        if without and any(" " in counts for counts in self._counts.values()):
            found.append("%s %s no spaces between words, and the others have: their words are scored differently. Train them as "
                         "tasks with an output each (docs/multi_task.md)" % (_listed(without), _have(without)))
        return found


def _listed(manifests):
    return ", ".join(manifests[:MOST_SHOWN]) + (", ..." if len(manifests) > MOST_SHOWN else "")


def _have(manifests):
    return "have" if len(manifests) > 1 else "has"
