"""Messages of the adapter's C++ part: log lines on stderr, and LOG(FATAL), which aborts the process."""
import os
import sys


def log(severity, place, message):
    """Writes one line in the format of TensorFlow's C++ log, if TF_CPP_MIN_LOG_LEVEL permits its severity."""
    if "IWEF".index(severity) >= int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "0"):
        sys.stderr.write("%s tf_adapter/%s] %s\n" % (severity, place, message))
        sys.stderr.flush()


def abort(place, message):
    """LOG(FATAL): writes the reason and aborts with SIGABRT, without a Python exception and without cleanup."""
    sys.stderr.write("F tf_adapter/%s] %s\n" % (place, message))
    sys.stderr.flush()
    sys.stdout.flush()
    os.abort()
