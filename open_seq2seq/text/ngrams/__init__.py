"""N-gram language models: counting, Kneser-Ney estimation, pruning, ARPA files. NumPy only; KenLM reads the result."""
