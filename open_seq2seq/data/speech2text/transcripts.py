"""The normalization of a manifest's transcripts, before anything else looks at them."""
from open_seq2seq.data.rejection import EMPTY_TRANSCRIPT, NOT_NORMALIZED, RejectedData
from open_seq2seq.text.steps import Changes, Emptied, Normalized, Refused


def normalized_rows(rows, normalization, rejects=True, note=None):
    """Rows with normalized transcripts.

    Args:
      rows: list of ManifestRow.
      normalization: a :class:`~open_seq2seq.text.steps.Normalization`.
      rejects: whether a row whose transcript cannot be normalized, or becomes empty, gets a problem; if not, its transcript
        stays as it is.
      note: function that is called with a str if transcripts changed; None: not reported.

    Returns:
      List of ManifestRow, of the same length.
    """
    if normalization.changes_nothing:
        return rows
    changes, found = Changes(), []
    for row in rows:
        if row.problem is None:
            try:
                normalized = normalization.apply(row.transcript)
            except Refused as error:
                normalized = Normalized(row.transcript, [])
                if rejects:
                    reason = EMPTY_TRANSCRIPT if isinstance(error, Emptied) else NOT_NORMALIZED
                    row = row._replace(problem=RejectedData(reason, str(error)))
            changes.add(row.transcript, normalized)
            row = row._replace(transcript=normalized.text)
        found.append(row)
    if note is not None and changes.changed:
        note(str(changes))
    return found
