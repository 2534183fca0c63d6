"""A session's config for graph mode."""
import tensorflow.compat.v1 as tf


class SessionConfigBuilder:
    """Adds the entry NpuOptimizer to a config; options are set in ``parameter_map``."""

    def __init__(self, config=None):
        self.session_config = config if isinstance(config, tf.ConfigProto) else tf.ConfigProto(allow_soft_placement=True)
        rewrite_options = self.session_config.graph_options.rewrite_options
        rewrite_options.remapping = rewrite_options.OFF
        entry = rewrite_options.custom_optimizers.add()
        entry.name = "NpuOptimizer"
        self.parameter_map = entry.parameter_map
