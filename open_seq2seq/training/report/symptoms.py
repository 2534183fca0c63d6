"""What the measurements of a run show to be wrong, with the section of docs/troubleshooting.md that has the causes and fixes."""
import collections

PAGE = "docs/troubleshooting.md"
OVERFITTING = "good-on-the-training-data-bad-on-dev"

Symptom = collections.namedtuple("Symptom", "section text")
Symptom.__doc__ = """section: of docs/troubleshooting.md, as the part of a link behind #. text: a sentence with the numbers."""

# A batch has augmentation and dropout, so its loss is usually above that of the same utterances in an evaluation.
RISE, GAP, MISMATCH = 1.15, 2.0, 2.0     # ratios: of the dev loss to its minimum, of WERs, of subset loss to batch loss
HIGH_WER, NO_WORDS = 0.3, 0.95
WAITING, DEAD, DRIFT = 0.3, 0.5, 0.5
UNALIGNABLE = 0.01, 0.5               # share of the utterances; of a network that has diverged none has a finite loss
LAST = 10                                # entries of kind "step" that a mean is taken of


def symptoms(entries):
    """The symptoms of a run, the most fundamental first.

    Args:
      entries: as ``read_metrics`` returns them.

    Returns:
      List of Symptom; empty if nothing is known to be wrong.
    """
    steps = _of_kind(entries, "step", "loss")
    train, dev = _scores(entries, "train"), _scores(entries, "dev")
    mismatch = _mismatch(entries, steps, train)
    found = [_skipped(entries), _unalignable(entries), mismatch]
    if mismatch is None:
        # an evaluation that differs from the training also looks like this
        without_words = _without_words(steps, train or dev)
        found.append(without_words)
        if without_words is None:
            found += [_overfitting(train, dev), _underfitting(entries, train, dev)]
    found += [_dead_channels(entries), _waiting(entries)]
    return [symptom for symptom in found if symptom is not None]


def lines(found):
    """The lines of the log for a list of Symptom."""
    return ["    %s. See %s#%s" % (symptom.text, PAGE, symptom.section) for symptom in found]


def _skipped(entries):
    bad = [entry for entry in entries if entry["kind"] == "skipped" and entry.get("bad") is not False]
    if not bad:
        return None
    # the reader keeps one entry for each step, which may have been tried with several batches
    count = bad[-1]["skipped_steps"] if isinstance(bad[-1].get("skipped_steps"), int) else len(bad)
    return Symptom("loss-inf-or-nan", "%d step%s skipped because the loss or the gradient was not finite, the last one after "
                   "step %d" % (count, " was" if count == 1 else "s were", bad[-1]["step"]))


def _unalignable(entries):
    evaluations = [entry for entry in _of_kind(entries, "evaluation", "utterances")
                   if entry.get("without_finite_loss") and entry["utterances"] > 0]
    last = evaluations[-1] if evaluations else {"without_finite_loss": 0, "utterances": 1}
    if not UNALIGNABLE[0] <= last["without_finite_loss"] / last["utterances"] <= UNALIGNABLE[1]:
        return None
    return Symptom("text-that-does-not-fit-into-its-audio",
                   "%d of %d utterances of %s have no finite CTC loss: their text has more characters than their audio has "
                   "output frames" % (last["without_finite_loss"], last["utterances"], last.get("data_set", "an evaluation")))


def _mismatch(entries, steps, train):
    if not train or len(steps) < 2:
        return None
    last = train[-1]
    batches = [entry["loss"] for entry in steps if entry["step"] <= last["step"]][-LAST:]
    mean = sum(batches) / len(batches) if batches else 0.0
    # a network that has memorized its batches also has a higher loss in an evaluation, but transcribes them
    rate = last.get("word_error_rate")
    if not batches or last["loss"] < MISMATCH * mean or (isinstance(rate, (int, float)) and rate < HIGH_WER):
        return None
    drifts = [row["mean_drift"] for row in _layers(entries) if isinstance(row.get("mean_drift"), (int, float))]
    return Symptom("low-loss-in-training-high-loss-in-evaluations", "training utterances have a loss of %.4g in training and of "
                   "%.4g in an evaluation (step %d)%s" % (
                       mean, last["loss"], last["step"],
                       "; batch norm's moving means are up to %.2g deviations from the data" % max(drifts)
                       if drifts and max(drifts) > DRIFT else ""))


def _without_words(steps, scored):
    rates = [entry for entry in scored if isinstance(entry.get("word_error_rate"), (int, float))]
    if not rates or rates[-1]["word_error_rate"] < NO_WORDS or not steps:
        return None
    losses = [entry["loss"] for entry in steps]
    quarter, trend = len(losses) // 4, ""
    if quarter >= LAST // 2:             # single losses differ by a factor of 10
        before, now = sum(losses[-2 * quarter:-quarter]) / quarter, sum(losses[-quarter:]) / quarter
        trend = "; the training loss %s (%.4g, a quarter of the training earlier %.4g)" % (
            "still falls" if now < 0.95 * before else "no longer falls", now, before)
    return Symptom("wer-stays-at-100-", "the WER is still %.0f %% at step %d%s" % (
        100.0 * rates[-1]["word_error_rate"], rates[-1]["step"], trend))


def _overfitting(train, dev):
    if len(train) < 2 or len(dev) < 2:
        return None
    best, last = min(dev, key=lambda entry: entry["loss"]), dev[-1]
    earlier = [entry for entry in train if entry["step"] <= best["step"]] or train[:1]
    rises = last["loss"] > RISE * best["loss"] and train[-1]["loss"] < earlier[-1]["loss"]
    if rises:
        return Symptom(OVERFITTING,
                       "the loss on dev rose from %.4g at step %d to %.4g at step %d, that of training utterances fell from %.4g "
                       "to %.4g" % (best["loss"], best["step"], last["loss"], last["step"], earlier[-1]["loss"],
                                    train[-1]["loss"]))
    rates = [entry.get("word_error_rate") for entry in (train[-1], last)]
    if all(isinstance(rate, (int, float)) for rate in rates) and rates[1] > max(HIGH_WER / 2, GAP * rates[0]):
        return Symptom(OVERFITTING, "the WER of training utterances is %.1f %%, that of dev %.1f %% (step %d)" % (
            100.0 * rates[0], 100.0 * rates[1], last["step"]))
    return None


def _underfitting(entries, train, dev):
    if not any(entry["kind"] == "end" for entry in entries) or not train or not dev:
        return None
    rates = [entry.get("word_error_rate") for entry in (train[-1], dev[-1])]
    if any(not isinstance(rate, (int, float)) for rate in rates) or min(rates) < HIGH_WER or rates[1] > GAP * rates[0]:
        return None
    return Symptom("bad-on-the-training-data-too",
                   "the training ended with a WER of %.1f %% on training utterances and of %.1f %% on dev: the model has not "
                   "learned the training data" % (100.0 * rates[0], 100.0 * rates[1]))


def _dead_channels(entries):
    dead = [(row["dead_channels"], str(row.get("layer"))) for row in _layers(entries)
            if isinstance(row.get("dead_channels"), (int, float)) and row["dead_channels"] > DEAD]
    if not dead:
        return None
    return Symptom("output-of-one-letter", "%.0f %% of the channels of layer %s are always 0" % (
        100.0 * max(dead)[0], max(dead)[1]))


def _waiting(entries):
    shares = [entry["data_wait_share"] for entry in _of_kind(entries, "step", "data_wait_share")]
    # the first steps wait for the first batch
    shares = shares[len(shares) // 2:]
    if not shares or sum(shares) / len(shares) < WAITING:
        return None
    return Symptom("slow-input", "the steps waited for their data %.0f %% of the time" % (100.0 * sum(shares) / len(shares)))


def _of_kind(entries, kind, *numbers):
    return [entry for entry in entries if entry["kind"] == kind
            and all(isinstance(entry.get(name), (int, float)) for name in numbers)]


def _scores(entries, data_set):
    """The scores of a subset; for dev, those of whole evaluations where there are no subsets."""
    subsets = [entry for entry in _of_kind(entries, "subset", "loss") if entry.get("data_set") == data_set]
    return subsets or (_of_kind(entries, "evaluation", "loss") if data_set == "dev" else [])


def _layers(entries):
    rows = next((entry.get("layers") for entry in reversed(entries) if entry["kind"] == "layers"), None)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
