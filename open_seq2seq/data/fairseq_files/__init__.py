"""Files of fairseq's HuBERT recipe: lists of audio files (.tsv), frame labels (.km) and their dictionaries (dict.km.txt)."""
