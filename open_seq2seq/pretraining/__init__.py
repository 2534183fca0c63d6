"""Pre-training without transcripts (HuBERT, arXiv:2106.07447): files of fairseq, targets, their quality."""
