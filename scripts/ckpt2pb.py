#!/usr/bin/env python
"""Exports a checkpoint for inference: writes jasper_infer_float32.pb and jasper_infer_float32.json, which describes it.

Without --config_file the network is built from the resolved config next to the checkpoint, and no code of it is executed. With
--config_file that config is executed, with your rights. `run.py --mode=export` does the same for the logdir of a config.
"""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path  # noqa: E402
from open_seq2seq.errors import CheckpointError  # noqa: E402
from open_seq2seq.experiment.command_line import checked_formats  # noqa: E402
from open_seq2seq.experiment.flags import EXPORT_FLAGS, add_flags  # noqa: E402


def parse(words):
    """The parsed flags of the command line ``words``."""
    parser = Parser(prog="ckpt2pb.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", "--ckpt_path", type=file_path, metavar="PATH", required=True,
                        help="a run's logdir (its newest checkpoint is taken) or a checkpoint, e.g. logdir/logs/model.ckpt-120")
    parser.add_argument("--config_file", type=file_path, metavar="FILE",
                        help="the config of its training; default: the run's resolved config")
    parser.add_argument("--best", action="store_true", help="take the logdir's best checkpoint instead of the newest")
    parser.add_argument("--output_dir", "--export_dir", dest="export_dir", type=file_path, metavar="DIR", default="model",
                        help="the output folder (default: %(default)s)")
    add_flags(parser, [name for name in EXPORT_FLAGS if name != "export_dir"])
    arguments = parser.parse_args(words)
    arguments.format = checked_formats("export", arguments.format)
    return arguments


def export(arguments):
    """Exports the checkpoint that the flags select."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.export.freeze.model_from_run import with_model_of_run
    from open_seq2seq.export.mode import export_and_report, options_of
    tf.logging.set_verbosity(tf.logging.ERROR)
    options = options_of(arguments)

    def write(trained):
        export_and_report(trained, options, arguments.export_dir, arguments.format)

    if arguments.config_file is None:
        with_model_of_run(arguments.checkpoint, write, arguments.best)
    else:
        _with_model_of_config(arguments, write)


def _with_model_of_config(arguments, use):
    """Calls ``use`` with the model that the config describes."""
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.config.overrides import Override
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.export.mode import trained_model_of_config
    is_checkpoint = os.path.isfile(arguments.checkpoint + ".index")
    if not is_checkpoint and not os.path.isdir(arguments.checkpoint):
        raise CheckpointError("there is no checkpoint %s; expected a logdir, or the path of a checkpoint without its extension"
                              % arguments.checkpoint)
    overrides = [Override(("logdir",), arguments.checkpoint, arguments.checkpoint)]
    experiment = load_experiment(arguments.config_file, "export", overrides)
    directory = RunDirectory(arguments.checkpoint)
    if is_checkpoint:
        use(trained_model_of_config(experiment, directory, arguments.checkpoint))
    else:
        directory.read_checkpoint(lambda checkpoint: use(trained_model_of_config(experiment, directory, checkpoint)),
                                  arguments.best)


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: export(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
