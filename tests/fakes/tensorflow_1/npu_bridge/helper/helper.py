"""Access to the adapter's operators. As in the adapter, importing this module loads the passes that divide graphs."""
from fake_ascend import operators, sessions

sessions.install()


def get_gen_ops():
    """The operators by name, as in the module that TensorFlow generates."""
    return operators


version = "1.15.0-fake"
