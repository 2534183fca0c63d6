#!/usr/bin/env python
"""Makes one file of a checkpoint, for inference: jasper_infer_float32.pb, and a JSON beside it that describes it.

With --config_file the config says what the network is; it runs with your rights. Without, the resolved config beside the
checkpoint says it, and no code is run. `run.py --mode=export` does the same for a config's own logdir.
"""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of  # noqa: E402
from open_seq2seq.errors import CheckpointError  # noqa: E402
from open_seq2seq.experiment.command_line import EXPORT_FLAGS, add_flags  # noqa: E402


def parse(words):
    """The flags."""
    parser = Parser(prog="ckpt2pb.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", "--ckpt_path", metavar="PATH", required=True,
                        help="a run's logdir (its newest checkpoint is taken) or a checkpoint, e.g. logdir/logs/model.ckpt-120")
    parser.add_argument("--config_file", metavar="FILE",
                        help="the config that it was trained with; default: the run's resolved one")
    parser.add_argument("--best", action="store_true", help="of a logdir, take the best checkpoint instead of the newest")
    parser.add_argument("--output_dir", "--export_dir", dest="export_dir", metavar="DIR", default="model",
                        help="where to (default: %(default)s)")
    add_flags(parser, [name for name in EXPORT_FLAGS if name != "export_dir"])
    return parser.parse_args(words)


def export(arguments):
    """Exports what the flags say."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.export.mode import export_and_report, options_of
    tf.logging.set_verbosity(tf.logging.ERROR)
    options = options_of(arguments)
    export_and_report(_trained(arguments), options, arguments.export_dir, arguments.format)


def _trained(arguments):
    from open_seq2seq.export.freeze.run_folder import trained_model_of
    if arguments.config_file is None:
        return trained_model_of(arguments.checkpoint, arguments.best)
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.config.overrides import Override
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.export.mode import trained_model_of_config
    is_checkpoint = os.path.isfile(arguments.checkpoint + ".index")
    if not is_checkpoint and not os.path.isdir(arguments.checkpoint):
        raise CheckpointError("there is no checkpoint %s; expected a logdir, or the path of a checkpoint without its extension"
                              % arguments.checkpoint)
    overrides = [Override(("logdir",), arguments.checkpoint, arguments.checkpoint)]
    if arguments.best:
        overrides.append(Override(("restore_best_checkpoint",), True, "True"))
    experiment = load_experiment(arguments.config_file, "export", overrides)
    return trained_model_of_config(experiment, RunDirectory(arguments.checkpoint, read_only=True),
                                   arguments.checkpoint if is_checkpoint else None)


def main(words):
    """Runs the command line; returns the exit status, run.py's."""
    return exit_status_of(lambda given: export(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
