"""What is embedded in the page for some utterances: their audio, and pictures of their features and posteriors.

Everything is stored as data addresses: PNG, and MP3, which every browser plays and which keeps the times of the recording. (Opus
and Vorbis in Ogg do not play in every browser; FLAC takes six times the space.)
"""
import collections
import concurrent.futures
import io

import numpy as np

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.audio.embedding import audio_address, data_address
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.evaluation.report.page import json_in_html
from open_seq2seq.text.vocabulary import WORD_MARK, has_subwords, is_tag

LEVELS = 16                            # of brightness in a picture: four bits of a point
LOWEST_PERCENTILE = 5.0                # of the features; what is below is as dark
FULL = 0.98                            # part of the space that counts as used up
RANDOM_EVERY = 5                       # every fifth embedded recording is not one of the worst, but one of all

# from dark to bright with steadily rising lightness, so that it is readable without colors
_COLORS = ((8, 6, 18), (42, 16, 66), (95, 24, 96), (151, 39, 93), (204, 62, 72), (239, 108, 46), (250, 170, 50), (252, 240, 170))


def chosen_utterances(counts, most, seed=0):
    """The utterances whose recordings are embedded, the most important first: the worst, and some of all as a comparison.

    Args:
      counts: list of ``EditCounts``, of each utterance.
      most: int.
      seed: of the choice among all.

    Returns:
      List of int, at most ``most`` different ones; every fifth is a random one.
    """
    worst = iter(sorted(range(len(counts)), key=lambda number: (-counts[number].rate, -counts[number].errors, number)))
    anyone, chosen = iter(random_utterances(len(counts), seed)), collections.OrderedDict()
    while len(chosen) < min(most, len(counts)):
        source = anyone if len(chosen) % RANDOM_EVERY == RANDOM_EVERY - 1 else worst
        chosen[next(number for number in source if number not in chosen)] = None
    return list(chosen)


def random_utterances(count, seed=0):
    """The numbers of ``count`` utterances in the order in which :func:`chosen_utterances` takes random ones; list of int."""
    return np.random.RandomState(seed).permutation(count).tolist()


def require_pillow():
    """Raises ImportError if Pillow, which writes the pictures, is not installed."""
    import PIL.Image
    return PIL.Image


def picture(levels):
    """A PNG as a data address.

    Args:
      levels: float [columns, rows], 0 (dark) to 1 (bright); the first row is at the bottom.
    """
    points = np.clip(np.rint(levels.T[::-1] * (LEVELS - 1)), 0, LEVELS - 1).astype(np.uint8)
    image = require_pillow().frombytes("P", points.shape[::-1], points.tobytes())
    places = np.linspace(0, len(_COLORS) - 1, LEVELS)
    image.putpalette(np.stack([np.interp(places, np.arange(len(_COLORS)), part) for part in zip(*_COLORS)], 1)
                     .round().astype(np.uint8).tobytes())
    file = io.BytesIO()
    image.save(file, "PNG", bits=4, optimize=True)
    return data_address("image/png", file)


def features_picture(features, title):
    """The picture of features as JSON values.

    Args:
      features: float [T, F].
      title: what they are.
    """
    low, high = np.percentile(features, LOWEST_PERCENTILE), features.max()
    return {"title": title, "png": picture((features - low) / max(float(high - low), 1e-9))}


def posteriors_picture(posteriors, characters, duration):
    """The picture of an utterance's posteriors as JSON values: a row for the blank, at the top, and for each probable character.

    Args:
      posteriors: ``Posteriors``.
      characters: list of str, the vocabulary without the blank.
      duration: of the frames, in seconds.
    """
    names = ["blank" if row == len(characters) else "space" if characters[row] == " " else characters[row]
             for row in posteriors.rows]
    # the first row of a picture is at the bottom
    return {"labels": names, "duration": duration, "png": picture(posteriors.values[:, ::-1] / np.float32(255.0))}


def words_of_best_path(best_path, characters, seconds_per_frame):
    """The words of a best path and when their characters are.

    Args:
      best_path: int [T'], blanks and repeats included.
      characters: list of str, the vocabulary without the blank; pieces of a subword vocabulary begin a word at its mark.
      seconds_per_frame: of the logits.

    Returns:
      List of [word, start, end] in seconds; the end is that of the last frame of the word's last character.
    """
    words, current, previous = [], None, len(characters)
    mark = WORD_MARK if has_subwords(characters) else " "
    # tags of languages are not part of the text
    tags = {number for number, label in enumerate(characters) if is_tag(label)}
    for frame, label in enumerate(len(characters) if int(label) in tags else int(label) for label in best_path):
        end = round((frame + 1) * seconds_per_frame, 3)
        if label < len(characters) and label != previous and characters[label].startswith(mark):
            current = None
        if label < len(characters) and characters[label] == mark:
            current = None
        elif label < len(characters) and label == previous:
            current[2] = end
        elif label < len(characters):
            if current is None:
                current = ["", round(frame * seconds_per_frame, 3), end]
                words.append(current)
            current[0] += characters[label].replace(WORD_MARK, "")
            current[2] = end
        previous = label
    return words


def embedded_recordings(scores, numbers, sample_rate, most_bytes, views):
    """The embedded recordings, as many as fit into the given space.

    Args:
      scores: list of ``UtteranceScore``.
      numbers: of the utterances, the most important first.
      sample_rate: of the embedded audio.
      most_bytes: how many bytes all of them together may take.
      views: function (number, samples: float32 [n]) -> dict of JSON values with pictures.

    Returns:
      List of (number, dict of JSON values: audio, a data address; duration in seconds; what ``views`` returned).
    """
    def recording(number):
        if scores[number].audio_path is None:
            return None
        try:
            samples = read_audio(scores[number].audio_path, sample_rate)
        except RejectedData:
            # it could be read for the evaluation, or its absence was reported there
            return None
        return dict(views(number, samples), audio=audio_address(samples, sample_rate),
                    duration=round(len(samples) / float(sample_rate), 3))

    found, total, workers = [], 0, usable_cores()
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        # a few at a time, and no more once the space is used up
        for first in range(0, len(numbers), 4 * workers):
            if total > FULL * most_bytes:
                break
            part = numbers[first:first + 4 * workers]
            for number, made in zip(part, pool.map(recording, part)):
                if made is None:
                    continue
                size = len(json_in_html(made))
                if total + size <= most_bytes:
                    total += size
                    found.append((number, made))
    return found
