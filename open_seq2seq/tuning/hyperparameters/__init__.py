"""``--mode=search``: a search for the keys of a config with the best result on the dev set; every trial is a training."""
