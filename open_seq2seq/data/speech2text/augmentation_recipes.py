"""Sets of effects that ``augmentation["recipe"]`` names.

``robust`` is the set that docs/robustness.md measures on spoken digits. ``far_field`` follows Kaldi's multi-condition recipes:
rooms for half of the utterances (Ko et al., "A study on data augmentation of reverberant speech", 2017) and noise at 0 to 20 dB,
babble among it (the MUSAN recipes).
"""
RECIPES = {
    "robust": {
        "effects_probability": 0.7,
        "tempo": {"probability": 0.2, "ratio": [0.75, 1.25]},
        "pauses": {"probability": 0.3},
        "second_voice": {"probability": 0.05, "snr_db": [12.0, 30.0]},
        "reverberation": {"probability": 0.4},
        "noise": {"probability": 0.6, "snr_db": [0.0, 35.0]},
        "microphone": {"probability": 0.15},
        "level": {"probability": 0.15},
        "clipping": {"probability": 0.2, "excess_db": [3.0, 20.0]},
        "noise_floor": {"probability": 0.2, "deviation": [1e-4, 5e-3]},
        "band": {"probability": 0.2},
        "codec": {"probability": 0.15, "kinds": ["mulaw_fast", "gsm_like", "gsm"]},
        "packet_loss": {"probability": 0.1},
        "shift": {"probability": 0.1, "seconds": [0.0, 0.3]},
    },
    "far_field": {
        "effects_probability": 0.8,
        "reverberation": {"probability": 0.5, "time": [0.2, 1.0], "distance": [0.5, 4.0]},
        "noise": {"probability": 0.6, "snr_db": [0.0, 20.0]},
        "second_voice": {"probability": 0.1, "snr_db": [5.0, 20.0]},
        "microphone": {"probability": 0.2},
        "level": {"probability": 0.3},
        "band": {"probability": 0.1},
        "codec": {"probability": 0.1, "kinds": ["mulaw_fast", "gsm_like"]},
    },
}
