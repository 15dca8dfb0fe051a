"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pjc import interrupts
from pjc.diagnostics import PjcError


class WriteError(PjcError, OSError):
    """A file that cannot be written; its text says which, and ``why``."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be written: {why}")
        self.why = why


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path``.

    What a link points to is replaced, not the link; a device or a pipe is written to as it is.

    Raises:
        WriteError: where that cannot be done; ``path`` is then as it was.
    """
    try:
        if path.exists() and not path.is_file():
            write(path)
        else:
            _replace(path.resolve(), write)
    except WriteError as error:
        raise WriteError(path, error.why) from None
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from None


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with interrupts.temporary(name):
            write(temporary)
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of ``path`` that :func:`replace_file` left where it was killed."""
    path = path.resolve()
    named = re.compile(re.escape(path.name) + r"\.[a-z0-9_]{8}" + re.escape(path.suffix))
    with suppress(OSError):
        for other in path.parent.iterdir():
            if named.fullmatch(other.name):
                other.unlink()


def _flush(path: Path) -> None:
    """Wait until a file is on the disk, so that what is renamed is never empty after a power cut."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _umask() -> int:
    """Return the process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
