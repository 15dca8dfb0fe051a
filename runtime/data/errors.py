"""What is said of data that cannot be used, and of files that cannot be read; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

from pjc.diagnostics import PjcError


class DataError(PjcError):
    """Data that training cannot use; its text says what was found and what to do."""


def require_file(path: Path) -> int:
    """Return the size in bytes of the file at ``path``; raise DataError unless it holds data."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a directory; name a file in it")
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from None
    if size == 0:
        raise DataError(f"{path} is empty")
    return size


def reason(error: BaseException) -> str:
    """Return what an OSError (or another error) says, without its number and file name."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
