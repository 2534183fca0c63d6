"""Implementation of the fake ``npu_bridge`` and ``npu_device``: does in Python, with CPU sessions, what the adapter does in C++.

It is not a module of the adapter. ../README.md lists what is imitated.
"""
