"""What is said of data that cannot be used; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

from pjc.diagnostics import PjcError
from pjc.reading import measured


class DataError(PjcError):
    """Data that training cannot use; its text says what was found and what to do."""


def require_file(path: Path) -> int:
    """Return the size in bytes of the file at ``path``; raise DataError unless it is one that holds data."""
    size = measured(path, error=DataError)
    if size == 0:
        raise DataError(f"{path} is empty")
    return size
