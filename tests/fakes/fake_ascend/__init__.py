"""The engine behind the fake ``npu_bridge``: what the real adapter does in C++, done in Python round a CPU session.

Not a module of the adapter. See ../README.md for what is imitated, how, and what is not.
"""
