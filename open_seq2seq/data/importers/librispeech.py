"""LibriSpeech, extracted or as the tar files in which it is distributed.

    python -m open_seq2seq.data.importers librispeech --corpus DIR --output data/librispeech

Tree: ``SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`` (lines ``SPEAKER-CHAPTER-UTTERANCE TRANSCRIPT IN CAPITALS``) next
to the FLAC files that it names. Each subset gets ``librivox-SUBSET.csv``, the name that OpenSeq2Seq's configs expect, with the
columns speaker, gender (from SPEAKERS.TXT) and chapter.
"""
import glob
import os
import re
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.archives import EXTENSIONS, fingerprint, members_of, stem_of
from open_seq2seq.data.importers.download import checksums_of, fetch, fetch_text
from open_seq2seq.data.importers.entries import DUPLICATE_ID, NO_TRANSCRIPT, UNSAFE_MEMBER, Entry, Recording, Skip, malformed
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import MISSING_FILE
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import read_text_file

MODULE = "open_seq2seq.data.importers.librispeech"
TRANSCRIPTS = os.path.join("*", "*", "*.trans.txt")  # below a subset
SPEAKERS = "SPEAKERS.TXT"
BASE_URL = "https://www.openslr.org/resources/12"
# OpenSLR's resources/12/md5sum.txt
MD5 = {
    "train-clean-100": "2a93770f6d5c6c964bc36631d331a522", "train-clean-360": "c0e676e450a7ff2f54aeade5171606fa",
    "train-other-500": "d1a0fd59409feb2c614ce4d30c387708", "dev-clean": "42e2234ba48799c1f50f24a7926300a1",
    "dev-other": "c8d0bcc9cca99d4f8b62fcc847357931", "test-clean": "32fa31d27d2e1cad72775fee3f4849a9",
    "test-other": "fb5a50374b501bb3bac4815ee91d3135"}
_UTTERANCE = re.compile(r"([0-9]+)-([0-9]+)-[0-9]+$")
_SUBSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*$")
_MANIFEST = "librivox-%s"


class LibriSpeech(Importer):
    name = "librispeech"
    summary = "Write a manifest CSV for each subset of LibriSpeech, from extracted folders or tar files."
    columns = ("speaker", "gender", "chapter")
    lower_case = True

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, required=True,
                            help="the folder LibriSpeech, its parent folder, a subset in it, a folder of SUBSET.tar.gz, or "
                                 "one such file")
        parser.add_argument("--subsets", nargs="+", metavar="SUBSET", help="only these, e.g. train-clean-100 dev-clean")
        parser.add_argument("--download", action="store_true",
                            help="first download the --subsets (default: all, 60 GB) into --corpus and compare their checksums")
        parser.add_argument("--base_url", default=BASE_URL, help="where --download finds SUBSET.tar.gz and md5sum.txt")

    def prepare(self, options):
        if not options.download:
            return
        base = options.base_url.rstrip("/")
        known = MD5 if base == BASE_URL else {stem_of(name): digest for name, digest in
                                              checksums_of(fetch_text(base + "/md5sum.txt")).items()}
        for subset in options.subsets or MD5:
            if subset not in known:
                raise DataError("--download: no checksum of %s is known; the subsets are %s" % (subset, ", ".join(sorted(known))))
            fetch("%s/%s.tar.gz" % (base, subset), os.path.join(options.corpus, subset + ".tar.gz"), known[subset])

    def units(self, options, note):
        archives = _find_archives(options.corpus)
        subsets = find_subsets(options.corpus, required=not archives)
        everything = sorted(set(archives) | set(subsets))
        missing = [name for name in options.subsets or () if name not in everything]
        if missing:
            raise DataError("--subsets %s: not in %s, which contains %s" % (
                " ".join(missing), options.corpus, ", ".join(everything)))
        units = []
        for name in options.subsets or everything:
            if name in subsets:
                speakers = _read_speakers(subsets[name])
                units.extend(chunked(_with_gender(item, speakers) for item in read_subset(subsets[name])))
            else:
                units.append(("archive", name) + fingerprint(archives[name]))
        return units

    def read(self, unit, options, store):
        return _read_archive(unit[1], unit[2]) if unit[0] == "archive" else iter(unit)


def find_subsets(corpus, required=True):
    """dict name -> folder of every subset in ``corpus``, or in its sub-folder ``LibriSpeech``; or ``corpus`` itself.

    Raises:
      DataError: there are none, and one is required.
    """
    if required and not os.path.exists(corpus):
        raise DataError("--corpus %s: does not exist" % corpus)
    if glob.glob(os.path.join(glob.escape(corpus), TRANSCRIPTS)):      # a subset itself
        return {os.path.basename(os.path.abspath(corpus)): os.path.normpath(corpus)}
    for root in (corpus, os.path.join(corpus, "LibriSpeech")):
        folders = sorted(glob.glob(os.path.join(glob.escape(root), "*")))
        found = {os.path.basename(f): f for f in folders if glob.glob(os.path.join(glob.escape(f), TRANSCRIPTS))}
        if found:
            return found
    if not required:
        return {}
    raise DataError("--corpus %s: contains no subset of LibriSpeech; expected SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, "
                    "for example dev-clean/84/121123/84-121123.trans.txt, or SUBSET.tar.gz" % corpus)


def _find_archives(corpus):
    """dict subset -> tar file."""
    paths = [corpus] if os.path.isfile(corpus) else sorted(glob.glob(os.path.join(glob.escape(corpus), "*")))
    return {stem_of(path): path for path in paths
            if path.lower().endswith(EXTENSIONS) and os.path.isfile(path) and _SUBSET.match(stem_of(path))}


def read_subset(folder):
    """All utterances of one extracted subset, in the order of the chapters' names.

    Returns:
      List of Entry and Skip: a line without a transcript, a transcript without audio, audio without a transcript.

    Raises:
      DataError: a transcript file is not UTF-8.
      OSError: a chapter's folder cannot be read.
    """
    subset, items = os.path.basename(folder), []
    for chapter in sorted(filter(os.path.isdir, glob.glob(os.path.join(glob.escape(folder), "*", "*")))):
        names = sorted(os.listdir(chapter))
        audio = {name[:-5] for name in names if name.endswith(".flac")}
        seen = set()
        for name in names:
            if name.endswith(".trans.txt"):
                path = os.path.join(chapter, name)
                recordings = {key: Recording(os.path.join(chapter, key + ".flac")) for key in audio}
                items.extend(_lines(subset, read_text_file(path, "transcript file"), os.path.relpath(path, folder), seen,
                                    recordings.get))
        items.extend(_without_transcript(subset, os.path.relpath(chapter, folder), audio - seen))
    return items


def _lines(subset, text, place, seen, recording_of):
    """Yields an Entry or Skip for each line of a transcript file.

    Args:
      subset: its name.
      text: the content of the file.
      place: the file, for messages.
      seen: set that receives the utterances' names.
      recording_of: function of a name that returns its Recording, or None.
    """
    manifest = _MANIFEST % subset
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        where = "%s:%d" % (place, number)
        key, _, transcript = line.strip().partition(" ")
        match = _UTTERANCE.match(key)
        if match is None:
            yield malformed(manifest, where, "the line begins with %r, expected SPEAKER-CHAPTER-UTTERANCE, a space and a "
                            "transcript" % key[:80])
        elif key in seen:
            yield Skip(manifest, where, key, DUPLICATE_ID, "%s has a transcript already" % key)
        elif not transcript.strip():
            seen.add(key)
            yield Skip(manifest, where, key, NO_TRANSCRIPT, "the line has no transcript, expected one behind the name")
        else:
            seen.add(key)
            recording = recording_of(key)
            if recording is None:
                yield Skip(manifest, where, key, MISSING_FILE, "%s.flac is missing; is the corpus unpacked completely?" % key)
            else:
                speaker, chapter = match.groups()
                yield Entry(manifest, "%s/%s/%s/%s" % (subset, speaker, chapter, key), where, recording, transcript,
                            (("speaker", speaker), ("chapter", chapter)))


def _without_transcript(subset, place, names):
    for name in sorted(names):
        yield Skip(_MANIFEST % subset, place, name, NO_TRANSCRIPT, "%s.flac has no transcript; is the corpus unpacked completely?"
                   % name)


def _read_speakers(folder):
    """dict speaker -> gender from the SPEAKERS.TXT next to a subset, or empty."""
    path = os.path.join(os.path.dirname(folder), SPEAKERS)
    return _parsed_speakers(read_text_file(path, "list of speakers")) if os.path.isfile(path) else {}


def _parsed_speakers(text):
    """Lines ``14   | F | train-clean-360  | 25.03 | Kristin LeMoine``; ``;`` begins a comment."""
    genders = {}
    for line in text.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if not line.startswith(";") and len(fields) > 2 and fields[1] in ("F", "M"):
            genders[fields[0]] = {"F": "female", "M": "male"}[fields[1]]
    return genders


def _with_gender(item, speakers):
    if isinstance(item, Skip):
        return item
    return item._replace(columns=item.columns + (("gender", speakers.get(dict(item.columns)["speaker"], "")),))


def _read_archive(subset, path):
    """Yields the items of a subset's tar file, which is read twice: transcripts may come behind their audio."""
    items, seen, speakers, audio = [], set(), {}, set()
    for member in members_of(path):
        if member.parts and member.parts[-1].endswith(".trans.txt") and member.problem is None:
            text = _decoded(member.read(), "%s: %s" % (path, member.name))
            # audio is found in the second pass
            items.extend(_lines(subset, text, member.name, seen, lambda key: Recording(path)))
        elif member.parts and member.parts[-1] == SPEAKERS and member.problem is None:
            speakers = _parsed_speakers(_decoded(member.read(), "%s: %s" % (path, member.name)))
    by_name = {os.path.basename(item.name): item for item in items if isinstance(item, Entry)}
    for item in items:
        if isinstance(item, Skip):
            yield item
    for member in members_of(path):
        key = member.parts[-1][:-5] if member.parts and member.parts[-1].endswith(".flac") else ""
        if not _UTTERANCE.match(key):
            continue
        if member.problem is not None:
            yield Skip(_MANIFEST % subset, member.name, key, UNSAFE_MEMBER, member.problem)
        elif key in audio:
            yield Skip(_MANIFEST % subset, member.name, key, DUPLICATE_ID, "the archive contains %s.flac twice" % key)
        elif key in by_name:
            audio.add(key)
            yield _with_gender(by_name[key]._replace(recording=Recording(path, member.read())), speakers)
        elif key not in seen:
            yield next(_without_transcript(subset, member.name, [key]))
    for key, item in by_name.items():
        if key not in audio:
            yield Skip(item.manifest, item.place, key, MISSING_FILE, "%s.flac is not in %s" % (key, path))


def _decoded(data, where):
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("%s is not UTF-8 text (byte 0x%02x at position %d)" % (where, data[error.start], error.start))


IMPORTER = LibriSpeech()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
