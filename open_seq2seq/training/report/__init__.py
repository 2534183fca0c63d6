"""The report of a training run: a page with figures, drawn from ``metrics.jsonl`` only, also during the run."""
