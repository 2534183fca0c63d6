"""The desktop that text is typed on."""
from tests.fixtures.desktop import desktop  # noqa: F401
