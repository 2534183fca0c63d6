"""Optimizers, learning-rate policies, and the processing of gradients between the loss and the optimizer."""
from open_seq2seq.optimizers import lr_policies
from open_seq2seq.optimizers.adamw import AdamW
from open_seq2seq.optimizers.catalogue import OPTIMIZERS, optimizer_class, parameters_of
from open_seq2seq.optimizers.novograd import NovoGrad
from open_seq2seq.optimizers.optimize import AdapterOptimizer, Optimization, optimize, total_loss, trained_variables
from open_seq2seq.optimizers.summaries import SUMMARIES

__all__ = ["AdamW", "AdapterOptimizer", "NovoGrad", "OPTIMIZERS", "Optimization", "SUMMARIES", "lr_policies", "optimize",
           "optimizer_class", "parameters_of", "total_loss", "trained_variables"]
