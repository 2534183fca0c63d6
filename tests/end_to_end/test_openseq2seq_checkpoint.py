"""A run's directory with a mixed-precision checkpoint of OpenSeq2Seq is continued as that run would have gone on."""
import os
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

OPTIMIZER = "--optimizer_params={'beta1':0.95,'beta2':0.0,'weight_decay':0.001}"


def converted(checkpoint, directory):
    """Writes a checkpoint of ours in the form that OpenSeq2Seq's mixed precision has."""
    reader = tf.train.NewCheckpointReader(checkpoint)
    values = {}
    for name in reader.get_variable_to_shape_map():
        value = reader.get_tensor(name)
        if name.startswith("ForwardPass/") and "/bn/" not in name and value.dtype == np.float32:
            values[name] = value.astype(np.float16)
            values["Loss_Optimization/FP32-master-copy/" + name] = value
        elif name.endswith("/NovoGrad") and "/bn/" not in name:
            values["Loss_Optimization/" + name.replace("ForwardPass", "FP32-master-copy/ForwardPass")] = value
        elif name == "global_step" or "/bn/" in name and not name.endswith("second_moment"):
            values[name] = value
    values["Loss_Optimization/Variable"] = np.float32(2.0 ** 14)
    os.makedirs(directory)
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=value, use_resource=False)
        session.run(tf.global_variables_initializer())
        return tf.train.Saver().save(session, os.path.join(directory, "model.ckpt"), 3)


def losses(run):
    assert run.status == 0, run.err
    return re.findall(r"Global step ([4-6]): \*\*\*     Train loss: ([0-9.]+)", run.out)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--logdir=theirs", "--continue_learning"],
                                     ["--load_checkpoint_dir=theirs", "--logdir=copy"]])
def test_a_mixed_precision_run_is_continued(run_here, options):
    train = ["--mode=train", OPTIMIZER, "--print_loss_steps=1", "--print_samples_steps=None", "--max_steps=6"]
    expected = losses(run_here(*train))
    assert converted(os.path.abspath("run/model.ckpt-3"), "theirs").endswith("model.ckpt-3") and len(expected) == 3
    run = run_here(*train, *options)
    assert losses(run) == expected
    assert "second moments of 14 variables are not in the checkpoint" in run.out and "state is lost" not in run.out


@pytest.mark.slow
def test_another_optimizer_loses_its_state_in_a_sentence(run_here):
    train = ["--mode=train", "--print_samples_steps=None", "--max_steps=6"]
    assert run_here(*train).status == 0
    converted(os.path.abspath("run/model.ckpt-3"), "theirs")
    run = run_here(*train, "--load_checkpoint_dir=theirs", "--logdir=copy", "--optimizer=Momentum",
                   "--optimizer_params={'momentum':0.9}")
    assert "The optimizer's state is lost for 14 slots (14 Momentum): " in run.out
    assert "It has 14 slots of another optimizer, which are not used (14 NovoGrad)" in run.out
