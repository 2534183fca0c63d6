"""The engine behind the fake ``npu_bridge``: what the real adapter does in C++, done in Python round a CPU session.

Not a module of the adapter. See ../README.md for what it imitates and what it does not.
"""
