"""Modules at their paths of earlier versions: they are imported or run from their new paths, with a note."""
import importlib
import importlib.abc
import importlib.machinery
import sys
import types

PACKAGE = __name__.rsplit(".", 1)[0]

# path in earlier versions -> path now, both relative to the package
MOVED = {
    "config.checking": "experiment.checking",
    "config.command_line": "experiment.command_line",
    "config.loading": "experiment.loading",
    "config.names": "experiment.names",
    "config.playbook": "experiment.playbook",
    "config.reference": "experiment.reference",
    "config.saving": "experiment.saving",
    "config.width": "experiment.checking",
    "data.importers.digits": "data.importers.corpus_folder",
    "data.speech2text.joining": "data.speech2text.packing",
    "data.speech2text.shapes_only": "npu_check.shapes_only",
    "data.speech2text.wav_header": "data.audio.riff",
    "data.speech2text.vocabulary": "text.vocabulary",
    "decoders.greedy": "decoding.greedy",
    "devices.graph_check": "graph_analysis.graph_check",
    "devices.graph_partition": "graph_analysis.graph_partition",
    "devices.graph_walk": "graph_analysis.graph_walk",
    "devices.host_memory": "training.memory.host_memory",
    "devices.layer_names": "graph_analysis.layer_names",
    "devices.memory_estimate": "graph_analysis.memory_estimate",
    "devices.memory_limits": "graph_analysis.memory_limits",
    "devices.npu_check": "npu_check.check",
    "devices.npu_check_report": "npu_check.report",
    "devices.npu_operators": "graph_analysis.npu_operators",
    "devices.npu_params": "devices.npu_option_checks",
    "devices.npu_values": "devices.npu_option_kinds",
    "devices.step_memory": "training.memory.step_memory",
    "distributed.config_map": "rank_tables.config_map",
    "distributed.cores": "cores",
    "distributed.cost_model": "launch.cost_model",
    "distributed.errors": "distributed.lost_peers",
    "distributed.kill_guard": "launch.rank_process",
    "distributed.launch": "launch.launcher",
    "distributed.launch_options": "launch.launch_options",
    "distributed.log_follower": "launch.rank_process",
    "distributed.peer_watch": "distributed.lost_peers",
    "distributed.process_watch": "launch.process_watch",
    "distributed.rank_environment": "launch.rank_environment",
    "distributed.rank_process": "launch.rank_process",
    "distributed.rank_table": "rank_tables.rank_table",
    "distributed.rank_table_fields": "rank_tables.fields",
    "distributed.rendezvous": "launch.rendezvous",
    "distributed.roll_call": "distributed.startup_barrier",
    "encoders.dimensions": "encoders.shapes",
    "encoders.encoder_output": "encoders.interface",
    "encoders.execution": "encoders.interface",
    "encoders.tensor_checks": "encoders.shapes",
    "evaluation.evaluation": "evaluation.scoring",
    "evaluation.fingerprint": "evaluation.record",
    "export.atc": "export.ascend.atc",
    "export.batches": "export.runtime.logit_model",
    "export.bins": "export.ascend.bins",
    "export.checkpoint_model": "export.runtime.checkpoint_model",
    "export.exported_model": "export.runtime.exported_model",
    "export.fast_filters": "export.freeze.fast_filters",
    "export.fast_inference_graph": "export.freeze.fast_inference_graph",
    "export.features": "export.runtime.features",
    "export.folding": "export.freeze.folding",
    "export.frame_pairs": "export.freeze.frame_layouts",
    "export.frames": "export.description",
    "export.graph_file": "export.runtime.graph_file",
    "export.graph_weights": "export.runtime.graph_file",
    "export.inference_graph": "export.freeze.inference_graph",
    "export.model_inputs": "export.freeze.model_inputs",
    "export.offline": "export.ascend.offline",
    "export.onnx_export": "export.freeze.onnx_export",
    "export.onnx_model": "export.runtime.onnx_model",
    "export.phase_rows": "export.freeze.frame_layouts",
    "export.references": "export.runtime.scoring",
    "export.restored_network": "export.freeze.trained_model",
    "export.result_bins": "export.ascend.bins",
    "export.run_folder": "export.freeze.model_from_run",
    "export.saved_model": "export.freeze.saved_model",
    "export.scoring": "export.runtime.scoring",
    "models.assembly": "experiment.assembly",
    "models.description": "experiment.description",
    "optimizers.accumulation": "optimizers.step",
    "optimizers.control_flow": "optimizers.update_operations",
    "optimizers.fused_updates": "optimizers.update_operations",
    "optimizers.learning_rate": "optimizers.lr_policies",
    "optimizers.signatures": "config.parameters",
    "script_status": "cli",
    "training.averaging.moving_average": "checkpoints.moving_average",
    "training.checkpoints.description": "checkpoints.description",
    "training.checkpoints.files": "checkpoints.files",
    "training.checkpoints.manifest": "checkpoints.manifest",
    "training.checkpoints.restore": "checkpoints.restore",
    "training.checkpoints.run_directory": "checkpoints.run_directory",
    "training.checkpoints.saving": "training.saving",
    "training.checkpoints.transfer": "checkpoints.transfer",
    "training.checkpoints.writer": "checkpoints.writer",
    "training.course": "training.stopping",
    "training.data_position": "training.input_stream",
    "training.data_wait": "training.input_stream",
    "training.diagnostics.layer_table": "training.diagnostics.layer_progress",
    "training.improvement": "training.metric_tracker",
    "training.progress": "progress",
    "training.session": "devices.session",
    "training.signals": "signals",
    "training.troubles.bad_batches": "training.nonfinite.bad_batches",
    "training.troubles.batch_loss": "training.nonfinite.batch_loss",
    "training.troubles.investigation": "training.nonfinite.investigation",
    "training.troubles.longest_batch": "training.memory.longest_batch",
    "training.troubles.non_finite": "training.nonfinite.layer_search",
    "training.troubles.replay": "training.nonfinite.replay",
    "training.troubles.skipped_steps": "training.nonfinite.skipped_steps",
    "training.troubles.spoilt_batches": "training.nonfinite.skipped_steps",
    "training.width_check": "checkpoints.description",
    "transcription.live": "transcription.microphone",
    "transcription.model_loading": "transcription.transcriber",
    "transcription.web.downloads": "transcription.web.application",
    "transcription.web.multipart": "transcription.web.uploads",
    "transcription.web.refusal": "transcription.web.http_error",
}

# (path in earlier versions, name) -> name now, with the path of its module if that is another one than the module moved to
RENAMED = {
    ("data.speech2text.joining", "joined_rows"): "pack",
    ("devices.npu_params", "completed"): "with_defaults",
    ("devices.npu_params", "require_places"): "require_existing_paths",
    ("devices.npu_values", "Ascending"): "AscendingList",
    ("devices.npu_values", "Place"): "PathOption",
    ("distributed.config_map", "filled_in"): "with_values",
    ("distributed.errors", "tells_of_lost_peer"): "is_caused_by_lost_peer",
    ("distributed.roll_call", "answer_roll_call"): "wait_for_all_ranks",
    ("distributed.roll_call", "leave_roll_call"): "remove_note",
    ("evaluation.evaluation", "EvaluationGraph"): "evaluation.evaluation_graph.build_evaluation",
    ("export.bins", "bin_names"): "export.runtime.scoring.utterance_names",
    ("export.run_folder", "trained_model_of"): "trained_model_from_run",
    ("training.checkpoints.transfer", "whole_checkpoint"): "valid_checkpoint",
    ("training.course", "Course"): "StoppingPolicy",
    ("training.improvement", "Improvement"): "MetricTracker",
    ("transcription.web.refusal", "Refusal"): "HttpError",
}


class _Loader(importlib.abc.InspectLoader):
    """Makes a module whose names are those of the module that replaced it."""

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        old = module.__name__[len(PACKAGE) + 1:]
        new = "%s.%s" % (PACKAGE, MOVED[old])
        _note(module.__name__, new)
        target = importlib.import_module(new)

        def look_up(name):
            if name.startswith("__"):
                raise AttributeError(name)
            path, _, new_name = RENAMED.get((old, name), name).rpartition(".")
            try:
                return getattr(importlib.import_module("%s.%s" % (PACKAGE, path)) if path else target, new_name)
            except AttributeError:
                raise AttributeError("%s is now %s, which has no %r" % (module.__name__, new, name))
        module.__doc__, module.__getattr__ = target.__doc__, look_up

    def get_code(self, fullname):
        new = "%s.%s" % (PACKAGE, MOVED[fullname[len(PACKAGE) + 1:]])
        _note(fullname, new)
        return compile("import runpy; runpy.run_module(%r, run_name='__main__', alter_sys=True)" % new, "<moved>", "exec")

    def get_source(self, fullname):
        return None

    def is_package(self, fullname):
        return False


class _Package(importlib.abc.Loader):
    """Makes a package that contained only modules that have moved."""

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        module.__path__ = []


class _Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path=None, target=None):
        if not fullname.startswith(PACKAGE + "."):
            return None
        old = fullname[len(PACKAGE) + 1:]
        if old in MOVED:
            return importlib.machinery.ModuleSpec(fullname, _Loader())
        if any(path.startswith(old + ".") for path in MOVED):
            return importlib.machinery.ModuleSpec(fullname, _Package(), is_package=True)
        return None


def _note(old, new):
    print("Note: %s is now %s" % (old, new), file=sys.stderr)


def install():
    """Makes the earlier paths importable; a module that exists takes precedence."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
