"""The report on a training run: a page with pictures, drawn from its ``metrics.jsonl`` alone, also while the run goes on."""
