"""Models: Batch -> ModelOutput; a model consists of an encoder, a decoder and a loss."""
from open_seq2seq.models.hubert_pretraining import HubertPretraining, PretrainingOutput
from open_seq2seq.models.speech2text import ModelOutput, Speech2Text

__all__ = ["HubertPretraining", "ModelOutput", "PretrainingOutput", "Speech2Text"]
