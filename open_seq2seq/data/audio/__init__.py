"""Audio files: which container a file is, how many samples it holds, and its samples."""
