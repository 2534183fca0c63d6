"""The top-level keys of an experiment, which ``base_params`` of a config module defines."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import (
    Any,
    Bool,
    Callable,
    Choice,
    Dict,
    DictOf,
    Either,
    FilePath,
    Float,
    Int,
    Kind,
    List,
    Parameter,
    RegularExpression,
    String,
    Struct,
)
from open_seq2seq.devices.npu_option_checks import OWN_DEFAULTS, NpuParams
from open_seq2seq.losses import distillation
from open_seq2seq.models import task_params, tracking_params
from open_seq2seq.optimizers.summaries import SUMMARIES

MOST_UTTERANCES = 10 ** 6  # in a batch; far beyond any memory
_PROCESSES = "one process drives one device; the launch scripts determine the number of processes"
_TENSORRT = "TensorRT is for NVIDIA's GPUs; --mode=export freezes graphs for inference"
_LANGUAGE_MODELLING = "it is for OpenSeq2Seq's language models"


class Precision(Kind):
    """tf.float32, tf.float16 or "mixed"; on a command line also "float32" and "float16"."""

    description = 'tf.float32, tf.float16 or "mixed"'

    def check(self, value, path, report):
        if isinstance(value, str) and value == "mixed":
            return value
        try:
            # as_dtype would take an integer for a dtype's number in a protocol buffer
            dtype = None if isinstance(value, int) else tf.as_dtype(value)
        except TypeError:
            dtype = None
        if dtype in (tf.float32, tf.float16):
            return dtype
        return self._expected(value, path, report)


PARTS = (
    Parameter("data_layer", Callable(), doc="class that reads the data, e.g. Speech2TextDataLayer"),
    Parameter("data_layer_params", Dict(), default={}, doc="parameters of the data layer"),
    Parameter("encoder", Callable(), doc="encoder class, e.g. TDNNEncoder"),
    Parameter("encoder_params", Dict(), default={}, doc="parameters of the encoder"),
    Parameter("width_multiplier", Float(above=0.0, maximum=100.0), default=1.0,
              doc="factor of the num_channels of every encoder layer; the products are rounded to a multiple of 8"),
    Parameter("block_copies", Int(minimum=1, maximum=100), default=1,
              doc="times that every residual block follows itself: a deeper network of the same width"),
    Parameter("kernel_multiplier", Float(above=0.0, maximum=100.0), default=1.0,
              doc="factor of the kernel widths above 1; the products are rounded to odd numbers"),
    Parameter("dropout_multiplier", Float(minimum=0.0, maximum=100.0), default=1.0,
              doc="factor of every probability of dropping a value; at most 0.9 is dropped"),
    Parameter("decoder", Callable(), doc="decoder class, e.g. FullyConnectedCTCDecoder"),
    Parameter("decoder_params", Dict(), default={}, doc="parameters of the decoder"),
    Parameter("loss", Callable(), default=None, doc="loss class, e.g. CTCLoss; train and eval need one"),
    Parameter("loss_params", Dict(), default={}, doc="parameters of the loss"),
    Parameter("teacher_params", Struct(distillation.PARAMETERS), default=None,
              doc="soft targets of a trained model in addition to the transcripts (docs/distillation.md); None: none"),
    Parameter("initializer", Callable(), default=None, doc="initializer of modules without their own"),
    Parameter("initializer_params", Dict(), default={}, doc="keyword arguments of the initializer"),
    Parameter("regularizer", Callable(), default=None, doc="regularizer of modules without their own"),
    Parameter("regularizer_params", Dict(), default={}, doc="keyword arguments of the regularizer"),
    Parameter("dtype", Precision(), default=tf.float32,
              doc='"mixed": float16 products and float32 variables on a GPU; a CPU uses float32, an NPU its npu_params'),
)

OPTIMIZATION = (
    Parameter("optimizer", Either(String(), Callable()), default=None, doc="optimizer class or name, e.g. NovoGrad"),
    Parameter("optimizer_params", Dict(), default={}, doc="parameters of the optimizer"),
    Parameter("lr_policy", Callable(), default=None, doc="learning-rate policy, one of open_seq2seq.optimizers.lr_policies"),
    Parameter("lr_policy_params", Dict(), default={}, doc="keyword arguments of the policy"),
    Parameter("larc_params", Dict(), default=None,
              doc="layer-wise adaptive learning rates: larc_eta, larc_mode, min_update, epsilon; None: not used"),
    Parameter("max_grad_norm", Float(above=0.0), default=None, doc="largest norm of the gradient; None: no limit"),
    Parameter("max_param_change", Float(above=0.0), default=None,
              doc="largest norm of a layer's change in one update, as Kaldi limits a component's (0.75 there); None: no limit"),
    Parameter("max_total_param_change", Float(above=0.0), default=None,
              doc="largest norm of the change of all layers together in one update (Kaldi: 2.0); None: no limit"),
    Parameter("backstitch_scale", Float(minimum=0.0, maximum=10.0), default=0.0,
              doc="backstitch: a step of this many times the learning rate backwards before the step forwards on the same batch "
                  "(docs/kaldi_training.md), e.g. 0.3; 0: plain steps"),
    Parameter("backstitch_interval", Int(minimum=1), default=1, doc="one in this many steps is a backstitch, e.g. 4"),
    Parameter("parallel_training", Dict(), default=None,
              doc="jobs that train on their own and are averaged at intervals, as in Kaldi (docs/kaldi_training.md): jobs_final, "
                  "archive_steps and others; None: all processes average the gradients of every step"),
    Parameter("loss_scaling", Either(Float(minimum=1e-6), Choice("Backoff", "LogMax", fold_case=True)), default=None,
              doc="constant factor of the loss, or the algorithm that adapts it; None: 1, but Backoff on an NPU with float16"),
    Parameter("loss_scaling_params", Dict(), default={}, doc="parameters of automatic loss scaling"),
    Parameter("iter_size", Int(minimum=1), default=1, doc="batches whose gradients are averaged before an update"),
    Parameter("freeze_variables_regex", RegularExpression(), default=None,
              doc="variables whose names match this pattern from their beginning are not trained"),
    Parameter("freeze_encoder_steps", Int(minimum=0), default=0,
              doc="steps at the start of a training in which the encoder's weights do not change, only the output layer's"),
    Parameter("encoder_lr_scale", Float(minimum=0.0, maximum=1000.0), default=1.0,
              doc="factor of the learning rate of the encoder's weights, e.g. 0.1 to fine-tune a pre-trained encoder"),
    Parameter("unfreeze_at", DictOf(Int(minimum=0)), default={},
              doc="layer -> step before which its weights do not change, e.g. {\"conv4*\": 200, \"conv11\": 500} "
                  "(docs/fine_tuning.md)"),
    Parameter("lr_scale_of_layers", DictOf(Float(minimum=0.0, maximum=1000.0)), default={},
              doc="layer -> factor of its learning rate, e.g. {\"conv11\": 0.1, \"decoder\": 2.0}"),
    Parameter("lr_decay_per_layer", Float(above=0.0, maximum=1.0), default=1.0,
              doc="factor of the learning rate for each layer of the encoder from its output to its input, e.g. 0.9"),
    Parameter("ema_decay", Float(above=0.0, below=1.0), default=None,
              doc="decay of an exponential moving average of the weights, e.g. 0.999 (docs/averaging.md); None: no average"),
    Parameter("evaluate_ema", Bool(), default=True,
              doc="evaluations, inference and exports use the moving averages of the weights if the model has them"),
)

RUN = (
    Parameter("batch_size_per_gpu", Int(minimum=1, maximum=MOST_UTTERANCES), doc="utterances in a training batch of one device"),
    Parameter("eval_batch_size_per_gpu", Int(minimum=1, maximum=MOST_UTTERANCES), default=None,
              doc="utterances in an evaluation batch; None: batch_size_per_gpu"),
    Parameter("num_epochs", Int(minimum=1), default=None, doc="passes through the training data"),
    Parameter("max_steps", Int(minimum=1), default=None, doc="training steps, instead of num_epochs"),
    Parameter("max_hours", Float(above=0.0), default=None,
              doc="hours after which training ends before its last step, including those before a resume; None: no limit"),
    Parameter("random_seed", Int(minimum=0, maximum=2 ** 62), default=0,
              doc="seed of initial weights, shuffling, dropout and augmentation"),
    Parameter("deterministic", Bool(), default=False,
              doc="on a CPU: a run that was interrupted and resumed has bitwise the same losses as an uninterrupted one"),
    Parameter("use_horovod", Bool(), default=False,
              doc="accepted for compatibility; the launch scripts determine the number of processes"),
    Parameter("sync_batch_norm", Bool(), default=False,
              doc="statistics of batch norm over all processes; False: of every process's own batch, as in OpenSeq2Seq"),
    Parameter("fast_convolutions", Bool(), default=True,
              doc="in training on a CPU: convolutions use short Fourier transforms where that takes less time (docs/speed.md); "
                  "False: always the direct sum. Results are equal up to rounding"),
    Parameter("recompute", Choice(None, "blocks"), default=None,
              doc="blocks: for the backward pass keep only the inputs of the encoder's blocks and compute the rest again, which "
                  "takes less memory and more time (docs/speed.md); None: keep all activations. Results are equal"),
    Parameter("use_xla_jit", Bool(), default=False, doc="compile the graph with XLA"),
    Parameter("max_bad_steps", Int(minimum=1), default=50,
              doc="consecutive steps with a non-finite loss or gradient after which training ends; overflows that reduce the "
                  "loss scale do not count"),
    Parameter("bad_batches", Int(minimum=0), default=3,
              doc="number of steps with a non-finite loss or gradient whose batch is examined and kept for --mode=replay"),
    Parameter("try_worst_batch", Bool(), default=True,
              doc="check before training that the longest batch fits into memory; where an estimate does not tell, it is "
                  "computed once"),
    Parameter("npu_params", NpuParams(), default=OWN_DEFAULTS, doc="options of the Ascend NPU and its adapter"),
    Parameter("search_space", Either(Dict(), FilePath()), default=None,
              doc="--mode=search: keys and their ranges, a dict or a YAML file (docs/search.md); None: those for small corpora"),
    Parameter("bench_start", Int(minimum=0), default=10, doc="first step of the average time per step"),
)

STOPPING = (
    Parameter("early_stop", Bool(), default=False,
              doc="train_eval stops when evaluations have not improved for es_epochs epochs (docs/playbook.md)"),
    Parameter("es_epochs", Int(minimum=1), default=25, doc="epochs without improvement after which training stops"),
    Parameter("es_min_delta", Float(minimum=0.0), default=None,
              doc="smallest decrease of stopping_metric that is an improvement; None: 0.05 for a loss, any decrease for a WER"),
    Parameter("reduce_lr_on_plateau", Bool(), default=False,
              doc="train_eval returns to the best model with a lower learning rate after every plateau_epochs epochs without "
                  "improvement"),
    Parameter("plateau_epochs", Int(minimum=1), default=10,
              doc="epochs without improvement after which the learning rate is reduced"),
    Parameter("plateau_reduction", Float(above=0.0, below=1.0), default=0.1,
              doc="factor of the reduction; it applies to every policy"),
    Parameter("stopping_metric", task_params.Metric(), default="loss",
              doc='metric of evaluations that has to improve; with tasks also one of a task, e.g. "kyrgyz.wer"'),
)

FILES = (
    Parameter("logdir", FilePath(), default=None, doc="directory of the run: checkpoints, logs, summaries"),
    Parameter("load_model", FilePath(), default=None,
              doc="checkpoint or run directory that a new training is initialized from, where names and shapes match"),
    Parameter("drop_layers", Int(minimum=0), default=0,
              doc="number of layers at the output end that load_model and load_checkpoint_dir do not initialize"),
    Parameter("copy_letters", Bool(), default=True,
              doc="load_model and load_checkpoint_dir copy the output weights of letters that both vocabularies have; False: a "
                  "changed vocabulary reinitializes the output layer"),
    Parameter("checkpoint_dir", FilePath(), default=None,
              doc="directory that checkpoints are read from and written to; training resumes from those in it. None: in logdir"),
    Parameter("load_checkpoint_dir", FilePath(), default=None,
              doc="directory of the checkpoint to resume from, which is not written to; None: checkpoint_dir"),
    Parameter("save_checkpoint_dir", FilePath(), default=None,
              doc="directory that checkpoints are written to; None: checkpoint_dir"),
    Parameter("restore_best_checkpoint", Bool(), default=False,
              doc="eval, infer, load_model and load_checkpoint_dir use the best checkpoint, not the latest"),
    Parameter("best_metric", task_params.Metric(), default="loss",
              doc='metric of evaluations that determines the best checkpoint; with tasks also one of a task, e.g. "kyrgyz.wer"'),
    Parameter("num_checkpoints", Int(minimum=1), default=5, doc="number of latest checkpoints to keep"),
    Parameter("max_to_keep", Int(minimum=1), default=None, replaced_by="num_checkpoints"),
    Parameter("save_checkpoint_steps", Int(minimum=1), default=None,
              doc="steps between checkpoints; None: only at the end, and as save_checkpoint_secs says"),
    Parameter("save_checkpoint_secs", Float(above=0.0), default=None, doc="seconds between checkpoints; None: by steps only"),
    Parameter("save_summaries_steps", Int(minimum=1), default=None, doc="steps between summaries; None: none"),
    Parameter("summaries", List(Choice(*SUMMARIES)), default=[], doc="summaries in addition to the losses"),
    *tracking_params.TRACKING,
    Parameter("metrics_steps", Either(Int(minimum=1), Choice(None)), default=10,
              doc="steps between lines with loss, learning rate and speed in metrics.jsonl; None: none"),
    Parameter("diagnostics_utterances", Int(minimum=0), default=None,
              doc="utterances of the training and of the dev data that are scored during training (docs/diagnostics.md); 0: no "
                  "diagnostics; None: 64, but 0 on an NPU without diagnostics_steps"),
    Parameter("diagnostics_steps", Int(minimum=1), default=None,
              doc="steps between diagnostics; None: chosen so that they take 2.5 % of the time"),
    Parameter("compute_per_dim_accuracy", Bool(), default=False,
              doc="diagnostics also count how often each label is recognized in the subsets, as Kaldi's option of this name "
                  "(docs/kaldi_training.md)"),
    Parameter("print_loss_steps", Int(minimum=1), default=None, doc="steps between lines with the loss; None: none"),
    Parameter("print_samples_steps", Int(minimum=1), default=None, doc="steps between sample transcripts; None: none"),
    Parameter("print_bench_info_steps", Int(minimum=1), default=None, doc="steps between lines with the speed; None: none"),
    Parameter("eval_steps", Int(minimum=1), default=None, doc="steps between evaluations in train_eval; None: once an epoch"),
)

IGNORED = (
    Parameter("hooks", List(Any()), ignored="the training loop does not use tf.train.SessionRunHook"),
    Parameter("finetune", Bool(), ignored="load_model always starts with a new optimizer at step 0"),
    Parameter("num_gpus", Int(minimum=0), ignored=_PROCESSES),
    Parameter("gpu_ids", List(Int(minimum=0)), ignored=_PROCESSES),
    Parameter("use_trt", Bool(), ignored=_TENSORRT),
    Parameter("trt_precision_mode", String(), ignored=_TENSORRT),
    Parameter("trt_max_workspace_size_bytes", Int(), ignored=_TENSORRT),
    Parameter("trt_minimum_segment_size", Int(), ignored=_TENSORRT),
    Parameter("trt_is_dynamic_op", Bool(), ignored=_TENSORRT),
    Parameter("trt_maximum_cached_engines", Int(), ignored=_TENSORRT),
    Parameter("lm_vocab_file", String(), ignored=_LANGUAGE_MODELLING),
    Parameter("processed_data_folder", String(), ignored=_LANGUAGE_MODELLING),
)

BASE_PARAMETERS = PARTS + task_params.PARAMETERS + OPTIMIZATION + RUN + STOPPING + FILES + IGNORED
