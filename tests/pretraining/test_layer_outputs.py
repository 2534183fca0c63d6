"""``--mode=features --layer`` and ``--mode=label_quality`` with a trained network."""
import csv
import json
import pickle

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.fairseq_files.feature_shards import FeatureShards
from open_seq2seq.modes import main


@pytest.fixture(scope="module")
def network(trained_digits, tmp_path_factory):
    """Function (arguments) -> exit status, in the folder of the trained network; a folder for results."""
    def call(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(str(trained_digits.folder))
            return main(["--config_file=config.py", "--device=cpu", "--enable_logs"] + [str(word) for word in words])
    return call, tmp_path_factory.mktemp("targets")


@pytest.mark.slow
def test_outputs_are_those_that_the_decoder_gets(trained_digits, network, capsys):
    call, folder = network
    for name, nshard in (("one", 1), ("three", 3)):
        assert call("--mode=features", "--layer=conv51", "--features=%s" % (folder / name), "--manifest=dev.csv",
                    "--nshard=%d" % nshard) == 0
    one, three = FeatureShards(str(folder / "one"), "dev"), FeatureShards(str(folder / "three"), "dev")
    assert one.description == three.description and (one.description.frame_rate, one.size) == (50.0, 128)
    values = np.array(one.features(0))
    # batches of other utterances
    np.testing.assert_allclose(np.concatenate([three.features(shard) for shard in range(3)]), values, atol=1e-4)
    assert call("--mode=infer", "--infer_output_file=%s" % (folder / "logits"),
                "--decoder_params/infer_logits_to_pickle=True") == 0
    with open(str(folder / "logits"), "rb") as file:
        logits = pickle.load(file)["logits"]
    reader = tf.train.NewCheckpointReader(tf.train.latest_checkpoint("%s/logs" % trained_digits.run))
    scope = "ForwardPass/fully_connected_ctc_decoder/fully_connected/"
    found = values @ reader.get_tensor(scope + "kernel") + reader.get_tensor(scope + "bias")
    with open(str(trained_digits.folder / "dev.csv"), encoding="utf-8", newline="") as file:
        expected = [logits[row["wav_filename"]] for row in csv.DictReader(file)]
    assert one.lengths[0].tolist() == [len(item) for item in expected]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-3)
    capsys.readouterr()
    assert call("--mode=features", "--layer=conv61", "--features=%s" % (folder / "one")) == 2
    assert "conv61, which the encoder does not have; its layers are conv11, conv21, conv22, conv31" in capsys.readouterr().err


@pytest.mark.slow
def test_labels_of_a_trained_layer_are_better_than_those_of_mfcc(network):
    call, folder = network
    pnmi = {}
    for name, flags in (("mfcc", []), ("layer", ["--layer=conv41"])):
        features = "--features=%s" % (folder / name)
        assert call("--mode=features", features, "--manifest=dev.csv", *flags) == 0
        assert main(["--mode=kmeans", features, "--split=dev", "--clusters=30"]) == 0
        assert main(["--mode=labels", features, "--labels=%s" % (folder / name)]) == 0
        assert call("--mode=label_quality", "--manifest=dev.csv", "--labels=%s" % (folder / name)) == 0
        with open(str(folder / name / "label_quality.json"), encoding="utf-8") as file:
            result = json.load(file)
        assert (result["utterances"], result["reference"], result["clusters"]) == (40, "characters", 30)
        pnmi[name] = result["pnmi"]
    assert pnmi["layer"] > pnmi["mfcc"] > 0.05
