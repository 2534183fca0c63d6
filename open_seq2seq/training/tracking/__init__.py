"""Where a training is recorded besides ``metrics.jsonl``: TensorBoard, MLflow (docs/tracking.md).

The modules of MLflow's sender (``mlflow_queue.py``, ``mlflow_records.py``, ``mlflow_sender.py``, ``mlflow_store.py``) run in a
process and perhaps under a Python of their own: they import the standard library and MLflow, and from this project only modules
that do so, too.
"""
