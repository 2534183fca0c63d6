"""Where the repository is, for tests that run its commands."""
import os

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
