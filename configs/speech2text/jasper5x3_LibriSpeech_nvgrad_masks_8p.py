"""Jasper 5x3 on LibriSpeech (960 hours), eight devices: jasper5x3_LibriSpeech_nvgrad_masks_1p.py in eight processes.

For: the LibriSpeech baseline on a server with eight accelerators; 8 x 32 utterances per step.
Cost: one eighth of the 1p config's time if communication between the devices is fast enough; not for a CPU.
Expected WER on dev-clean: not measured with this code.

Data: as in the 1p config, which must be in the same folder as this file.
"""
from jasper5x3_LibriSpeech_nvgrad_masks_1p import base_model as base_model
from jasper5x3_LibriSpeech_nvgrad_masks_1p import base_params as one_device
from jasper5x3_LibriSpeech_nvgrad_masks_1p import eval_params as eval_params
from jasper5x3_LibriSpeech_nvgrad_masks_1p import infer_params as infer_params
from jasper5x3_LibriSpeech_nvgrad_masks_1p import train_params as train_params

base_params = dict(one_device, use_horovod=True, num_gpus=8)
