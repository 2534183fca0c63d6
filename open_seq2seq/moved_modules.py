"""Modules and names of earlier versions: they are imported or run from where they are now, with a note.

A name that was removed raises an ImportError that names what replaces it.
"""
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
    "config.width": "experiment.network_scaling",
    "data.importers.corpus_folder": "data.importers.digit_strings",
    "data.importers.digits": "data.importers.digit_strings",
    "data.importers.workers": "worker_processes",
    "data.speech2text.cached_batches": "data.speech2text.row_batches",
    "data.speech2text.joining": "data.speech2text.packing",
    "data.speech2text.rejection": "data.rejection",
    "data.speech2text.shapes_only": "npu_check.shapes_only",
    "data.speech2text.wav_header": "data.audio.riff",
    "data.speech2text.vocabulary": "text.vocabulary",
    "decoders.greedy": "decoding.greedy",
    "devices.graph_check": "graph_analysis.graph_check",
    "devices.graph_partition": "graph_analysis.graph_partition",
    "devices.graph_walk": "graph_analysis.graph_walk",
    "devices.host_memory": "host_memory",
    "devices.layer_names": "graph_analysis.layer_names",
    "devices.memory_estimate": "graph_analysis.memory_estimate",
    "devices.memory_limits": "graph_analysis.memory_limits",
    "devices.npu_check": "npu_check.check",
    "devices.npu_check_report": "npu_check.report",
    "devices.npu_operators": "graph_analysis.npu_operators",
    "devices.npu_params": "devices.npu_option_checks",
    "devices.npu_values": "devices.npu_option_kinds",
    "devices.step_memory": "graph_analysis.step_memory",
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
    "export.fast_filters": "encoders.fourier_convolution",
    "export.fast_inference_graph": "export.freeze.fast_inference_graph",
    "export.features": "export.runtime.features",
    "export.folding": "export.freeze.folding",
    "export.frame_pairs": "encoders.fourier_convolution",
    "export.frames": "export.description",
    "export.freeze.fast_filters": "encoders.fourier_convolution",
    "export.freeze.frame_layouts": "encoders.fourier_convolution",
    "export.graph_file": "export.runtime.graph_file",
    "export.graph_weights": "export.runtime.graph_file",
    "export.inference_graph": "export.freeze.inference_graph",
    "export.model_inputs": "export.freeze.model_inputs",
    "export.offline": "export.ascend.offline",
    "export.onnx_export": "export.freeze.onnx_export",
    "export.onnx_model": "export.runtime.onnx_model",
    "export.phase_rows": "encoders.fourier_convolution",
    "export.references": "export.runtime.scoring",
    "export.restored_network": "export.freeze.trained_model",
    "export.result_bins": "export.ascend.results",
    "export.run_folder": "export.freeze.model_from_run",
    "export.saved_model": "export.freeze.saved_model",
    "export.scoring": "export.runtime.scoring",
    "models.assembly": "experiment.assembly",
    "models.description": "experiment.description",
    "optimizers.accumulation": "optimizers.step",
    "optimizers.control_flow": "optimizers.update_operations",
    "optimizers.encoder_rate": "optimizers.layer_rates",
    "optimizers.fused_updates": "optimizers.update_operations",
    "optimizers.learning_rate": "optimizers.lr_policies",
    "optimizers.signatures": "config.parameters",
    "pretraining.feature_shards": "data.fairseq_files.feature_shards",
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
    "training.memory.host_memory": "host_memory",
    "training.memory.step_memory": "graph_analysis.step_memory",
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
    "transcription.transcript": "decoding.transcript",
    "transcription.web.byte_range": "transcription.web.application",
    "transcription.web.downloads": "transcription.web.application",
    "transcription.web.multipart": "transcription.web.uploads",
    "transcription.web.refusal": "transcription.web.http_error",
    "transcription.word_times": "decoding.word_times",
    "transcription.writers": "decoding.writers",
}

_COMMAND = "importers are run by open_seq2seq.data.importers.__main__"
_CONTENT = "the content of a manifest is made by open_seq2seq.data.importers.manifest_writer.manifest_bytes"
_FRAME = "corpora are written by open_seq2seq.data.importers.frame.import_corpus"
_VERSION = "an importer's version is an attribute of open_seq2seq.data.importers.frame.Importer"

_FOURIER = "open_seq2seq.encoders.fourier_convolution.convolve_with_transformed computes fast convolutions without phases"
_BLOCK = "open_seq2seq.encoders.fast_convolutions.inference_block chooses the fast convolutions"

# (path in earlier versions, name) -> name now, with the path of its module if that is another one than the module is now; or, for
# a name that was removed, a sentence that names what replaces it
RENAMED = {
    ("config.width", "scale_width"): "experiment.network_scaling.scale_network",
    ("config.command_line", "DEVICES"): "experiment.flags.DEVICES",
    ("config.command_line", "EXPORT_FORMATS"): "experiment.flags.EXPORT_FORMATS",
    ("config.command_line", "MODES"): "experiment.flags.MODES",
    ("config.parameters", "LARGEST_FLOAT32"): "config.kinds.LARGEST_FLOAT32",
    ("data.importers.folder", "find_audio"):
        "use open_seq2seq.data.importers.folder.read_folder, which also finds the transcripts",
    ("data.importers.folder", "read_transcript"):
        "use open_seq2seq.data.importers.entries.cleaned_transcript on what the file contains",
    **{("data.importers.corpus_folder", name): _FRAME
       for name in ("DESCRIPTION_FILE", "is_complete", "new_corpus", "read_description")},
    ("data.importers.fsdd", "MODULE"): _COMMAND,
    ("data.importers.fsdd", "VERSION"): _VERSION,
    ("data.importers.fsdd", "join"): "concatenate",
    ("data.importers.fsdd", "make_corpus"): "use open_seq2seq.data.importers.fsdd.main with the words of the command line",
    ("data.importers.fsdd", "read_all"): "use open_seq2seq.data.speech2text.audio.read_audio",
    ("data.importers.fsdd", "read_recording"): "use open_seq2seq.data.speech2text.audio.read_audio",
    ("data.importers.importer_command", "INTERRUPTED"): "cli.INTERRUPTED",
    ("data.importers.importer_command", "make_parser"): "cli.make_parser",
    ("data.importers.importer_command", "whole_number"): "cli.whole_number",
    ("data.importers.manifest_writer", "ManifestRow"): _CONTENT,
    ("data.importers.manifest_writer", "write_manifest"): _CONTENT,
    ("data.importers.synthetic_digits", "MODULE"): _COMMAND,
    ("data.importers.synthetic_digits", "NOISE_COLOURS"): "NOISE_COLORS",
    ("data.importers.synthetic_digits", "VERSION"): _VERSION,
    ("data.importers.synthetic_digits", "make_corpus"):
        "use open_seq2seq.data.importers.synthetic_digits.main with the words of the command line",
    ("data.speech2text.audio", "BLOCK"): "data.audio.reading.BLOCK",
    ("data.speech2text.audio", "FLOAT_SUBTYPES"): "data.audio.inspection.FLOAT_SUBTYPES",
    ("data.speech2text.audio", "INT16_SCALE"): "data.audio.reading.INT16_SCALE",
    ("data.speech2text.audio", "UNKNOWN_FRAMES"): "the header is read by open_seq2seq.data.audio.inspection.inspect_file",
    ("data.speech2text.audio", "open_sound"):
        "use open_seq2seq.data.audio.inspection.inspect_file and open_part, or open_seq2seq.data.speech2text.audio.read_audio",
    ("data.speech2text.joining", "joined_rows"): "pack",
    ("data.speech2text.wav_header", "LARGEST_TRUE_SIZE"): "WAV headers are read by open_seq2seq.data.audio.riff.inspect_riff",
    ("data.speech2text.wav_header", "WavHeader"): "WAV headers are read by open_seq2seq.data.audio.riff.inspect_riff",
    ("data.speech2text.wav_header", "read_wav_header"): "WAV headers are read by open_seq2seq.data.audio.riff.inspect_riff",
    ("devices.graph_check", "MEND_FLOAT64"): "FIX_FLOAT64",
    ("devices.graph_check", "MEND_HOST"): "FIX_HOST",
    ("devices.graph_check", "MEND_REFERENCE"): "FIX_REFERENCE",
    ("devices.graph_check", "MEND_SCOPE"): "FIX_SCOPE",
    ("devices.graph_check", "MEND_SHAPE"): "FIX_SHAPE",
    ("devices.graph_partition", "DRAGGED"): "CONNECTED",
    ("devices.npu_loss_scaling", "chosen_loss_scaling"): "choose_loss_scaling",
    ("devices.npu_loss_scaling", "wrapped_optimizer"): "wrap_optimizer",
    ("devices.npu_params", "completed"): "with_defaults",
    ("devices.npu_params", "require_places"): "require_existing_paths",
    ("devices.npu_values", "Ascending"): "AscendingList",
    ("devices.npu_values", "Place"): "PathOption",
    ("distributed.config_map", "filled_in"): "with_values",
    ("distributed.errors", "tells_of_lost_peer"): "is_caused_by_lost_peer",
    ("distributed.hccl_group", "ALONE"): "NOT_FUSED",
    ("distributed.hccl_group", "COLLECTED"): "FUSED",
    ("distributed.opening", "NEEDED"): "REQUIRED",
    ("distributed.opening", "SIZES_OF_OTHERS"): "SIZES_OF_OTHER_LAUNCHERS",
    ("distributed.roll_call", "answer_roll_call"): "wait_for_all_ranks",
    ("distributed.roll_call", "leave_roll_call"): "remove_note",
    ("evaluation.evaluation", "EvaluationGraph"): "evaluation.evaluation_graph.build_evaluation",
    ("evaluation.evaluation", "frame_entropies"): "evaluation.evaluation_graph.frame_entropies",
    ("evaluation.modes", "infer"): "evaluation.inference.infer",
    ("export", "CheckpointError"): "errors.CheckpointError",
    **{("export." + path, name): _FOURIER for path, names in (
        ("fast_filters", "Filter PHASES earliest fast_filters rows_needed"), ("frame_pairs", "FramePairs"),
        ("freeze.fast_filters", "Filter PHASES earliest fast_filters rows_needed"), ("phase_rows", "PhaseRows"),
        ("freeze.frame_layouts", "FramePairs PhaseRows")) for name in names.split()},
    **{("export." + path, name): _BLOCK for path in ("fast_inference_graph", "freeze.fast_inference_graph")
       for name in ("FEWEST_CHANNELS", "FEWEST_TAPS")},
    ("export.ascend.bins", "AIS_BENCH"): "export.ascend.results.AIS_BENCH",
    ("export.ascend.bins", "MSAME"): "export.ascend.results.MSAME",
    ("export.ascend.bins", "PORT"): "export.ascend.results.PORT",
    ("export.ascend.bins", "find_results"): "export.ascend.results.find_results",
    ("export.ascend.bins", "names_in"): "stems_in",
    ("export.ascend.bins", "read_result"): "export.ascend.results.read_result",
    ("export.ascend.bins", "result_name"): "export.ascend.results.result_name",
    ("export.ascend.offline", "require_batch_size"):
        "a batch larger than the model's takes several runs of the model, see open_seq2seq.export.ascend.offline.infer",
    ("export.bins", "bin_names"): "export.runtime.scoring.utterance_names",
    ("export.bins", "bins_of"): "stems_in",
    ("export.description", "file_sha256"): "files.file_digest",
    ("export.freeze", "DEFAULT_FRAMES"): "export.freeze.frozen_graph.DEFAULT_FRAMES",
    ("export.freeze", "ExportOptions"): "export.freeze.frozen_graph.ExportOptions",
    ("export.freeze", "LARGEST_GRAPH"): "export.freeze.frozen_graph.LARGEST_GRAPH",
    ("export.freeze", "check_options"): "export.freeze.frozen_graph.check_options",
    ("export.freeze", "description_of"): "export.freeze.frozen_graph.description_of",
    ("export.freeze", "feature_params"): "export.freeze.frozen_graph.feature_params",
    ("export.freeze", "freeze"): "export.freeze.frozen_graph.freeze",
    ("export.freeze", "pad_to"): "export.freeze.frozen_graph.pad_to",
    ("export.offline", "require_batch_size"):
        "a batch larger than the model's takes several runs of the model, see open_seq2seq.export.ascend.offline.infer",
    ("export.onnx_model", "INSTALL"): "export.INSTALL_ONNX",
    ("export.run_folder", "trained_model_of"): "trained_model_from_run",
    ("export.scoring", "transcript_of"): "use open_seq2seq.decoding.greedy.GreedyDecoder",
    ("log_lines", "report_only_troubles"): "report_only_problems",
    ("modes", "TRAINING"):
        'the modes that train are "train" and "train_eval"; all modes are in open_seq2seq.experiment.flags.MODES',
    ("optimizers.larc", "larc_factor"): "open_seq2seq.optimizers.larc.larc_factors takes all layers",
    ("training.averaging.mode", "chosen"): "chosen_sources",
    ("training.checkpoints.transfer", "whole_checkpoint"): "valid_checkpoint",
    ("training.course", "Course"): "StoppingPolicy",
    ("training.diagnostics.schedule", "STEPS_TO_LEARN"): "STEPS_TO_MEASURE",
    ("training.graph", "Tower"): "ShapeStep",
    ("training.graph", "TowerBuilder"): "ShapeStepBuilder",
    ("training.graph", "tower_name"): "shape_scope",
    ("training.improvement", "Improvement"): "MetricTracker",
    ("training.metrics", "data_set_name"): "evaluation.record.data_set_name",
    ("training.signals", "say_on_stderr"): "print_on_stderr",
    ("training.troubles.spoilt_batches", "SpoiltBatch"): "NonFiniteBatch",
    ("training.troubles.spoilt_batches", "SpoiltBatches"): "NonFiniteBatches",
    ("transcription.recordings", "EXTENSIONS"): "data.audio.containers.AUDIO_EXTENSIONS",
    ("transcription.segmentation", "DEAD_DECIBELS"): "decoding.sound_levels.DEAD_DECIBELS",
    ("transcription.segmentation", "LEAST_PAUSE_RANGE"): "decoding.sound_levels.LEAST_PAUSE_RANGE",
    ("transcription.segmentation", "LOUD_FRAMES"): "decoding.sound_levels.LOUD_FRAMES",
    ("transcription.segmentation", "PAUSE_BELOW_LOUD"): "decoding.sound_levels.PAUSE_BELOW_LOUD",
    ("transcription.segmentation", "PAUSE_RANGE"): "decoding.sound_levels.PAUSE_RANGE",
    ("transcription.web.byte_range", "byte_range"): "werkzeug parses the Range header: werkzeug.http.parse_range_header",
    ("training.checkpoints.writer", "values_of"):
        "open_seq2seq.checkpoints.graph_variables.graph_variables(graph).read(session) reads all variables at once",
    ("transcription.web.downloads", "DOWNLOADS"): "the formats are in open_seq2seq.decoding.writers.FORMATS",
    ("transcription.web.downloads", "content_disposition"):
        "werkzeug makes the header: werkzeug.utils.send_file with download_name",
    ("transcription.web.handler", "ROUTES"): "the routes are werkzeug's, in open_seq2seq.transcription.web.application.ROUTES",
    **{("transcription.web.multipart", name):
       "forms are parsed by werkzeug.formparser in open_seq2seq.transcription.web.uploads.receive"
       for name in ("FilePart", "MAX_BOUNDARY", "MAX_PART_HEADER", "boundary_of")},
    ("transcription.web.refusal", "Refusal"): "HttpError",
    ("transcription.web.uploads", "body_length"):
        "use open_seq2seq.transcription.web.uploads.content_length; receive checks the length",
}

_WITH_RENAMED_NAMES = {old for old, _ in RENAMED}
_PACKAGES = {old.rsplit(".", 1)[0] for old in MOVED if "." in old}


def _absolute(path):
    return "%s.%s" % (PACKAGE, path)


def _relative(name):
    return name[len(PACKAGE) + 1:]


def _add_names(module):
    """Gives a module, which may have moved, the ``__getattr__`` (PEP 562) that resolves its names of earlier versions."""
    old = _relative(module.__name__)
    here = _absolute(MOVED.get(old, old))

    def look_up(name):
        entry = RENAMED.get((old, name))
        if entry is None:
            if old not in MOVED or name.startswith("__"):
                raise AttributeError("module %r has no attribute %r" % (module.__name__, name))
            try:
                return getattr(importlib.import_module(here), name)
            except AttributeError:
                raise AttributeError("%s is now %s, which has no %r" % (module.__name__, here, name))
        if _is_sentence(entry):
            # not an AttributeError: an import statement would replace its message by one of its own
            raise ImportError("%s.%s was removed: %s" % (module.__name__, name, entry))
        path, _, new_name = entry.rpartition(".")
        place = _absolute(path) if path else here
        found = getattr(importlib.import_module(place), new_name)
        if old not in MOVED:  # of a module that has moved, the import has printed a note
            _note("%s.%s" % (module.__name__, name), "%s.%s" % (place, new_name))
        setattr(module, name, found)
        return found
    module.__getattr__ = look_up


def _is_sentence(entry):
    return " " in entry


class _Loader(importlib.abc.InspectLoader):
    """Makes a module whose names are those of the module that replaced it."""

    def create_module(self, spec):
        return types.ModuleType(spec.name)

    def exec_module(self, module):
        old = _relative(module.__name__)
        new = _absolute(MOVED[old])
        _note(module.__name__, new)
        target = importlib.import_module(new)
        module.__doc__ = target.__doc__
        public = getattr(target, "__all__", [name for name in vars(target) if not name.startswith("_")])
        module.__all__ = sorted({name for place, name in RENAMED if place == old and not _is_sentence(RENAMED[place, name])}
                                | {name for name in public if (old, name) not in RENAMED})
        _add_names(module)

    def get_code(self, fullname):
        new = _absolute(MOVED[_relative(fullname)])
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
    """Finds modules that have moved, and modules that exist and have renamed names; the latter take precedence."""

    def find_spec(self, fullname, path=None, target=None):
        old = _relative(fullname)
        if fullname != _absolute(old) or not (old in MOVED or old in _PACKAGES or old in _WITH_RENAMED_NAMES):
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None:
            if old in _WITH_RENAMED_NAMES:
                _add_names_after_execution(spec.loader)
            return spec
        if old in MOVED:
            return importlib.machinery.ModuleSpec(fullname, _Loader())
        if old in _PACKAGES:
            return importlib.machinery.ModuleSpec(fullname, _Package(), is_package=True)
        return None


def _add_names_after_execution(loader):
    execute = loader.exec_module

    def exec_module(module):
        execute(module)
        _add_names(module)
    loader.exec_module = exec_module


def _note(old, new):
    print("Note: %s is now %s" % (old, new), file=sys.stderr)


def install():
    """Makes the earlier paths and names importable; a module or name that exists takes precedence."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
