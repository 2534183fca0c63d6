"""Messages of the adapter's C++ part: log lines on stderr, and LOG(FATAL), which takes the process with it."""
import os
import sys


def log(severity, place, message):
    """Writes one line in the manner of TensorFlow's C++ log; INFO only where TF_CPP_MIN_LOG_LEVEL lets it through."""
    if "IWEF".index(severity) >= int(os.environ.get("TF_CPP_MIN_LOG_LEVEL") or "0"):
        sys.stderr.write("%s tf_adapter/%s] %s\n" % (severity, place, message))
        sys.stderr.flush()


def abort(place, message):
    """LOG(FATAL): says why and dies with SIGABRT; no Python exception, no clean-up."""
    sys.stderr.write("F tf_adapter/%s] %s\n" % (place, message))
    sys.stderr.flush()
    sys.stdout.flush()
    os.abort()
