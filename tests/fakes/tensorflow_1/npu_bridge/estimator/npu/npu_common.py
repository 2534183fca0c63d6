"""The job as the adapter's Python part reads it from the environment."""
import os

import tensorflow.compat.v1 as tf

from npu_bridge.estimator.npu import util


class JobInfo:
    def __init__(self, rank_size):
        self._rank_size = rank_size


class NPUBasics:
    def __init__(self, file_name):
        self._job_info = None
        if not os.environ.get("JOB_ID"):
            tf.logging.error("Error:can not get job config from env")
            return
        self._job_info = JobInfo(util.get_ranksize())

    def size(self):
        # AttributeError without JOB_ID, as in the adapter: None has no _rank_size
        return self._job_info._rank_size
