"""The boundary of every reader of files: what it opens, how much it takes, what it says of bad files."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pjc.diagnostics import PjcError

MAX_TEXT_BYTES = 2**26
"""The largest text that is read whole: a network, IR, a manifest."""


def measured(path: Path, limit: int | None = None, error: Callable[[str], PjcError] = PjcError) -> int:
    """Return the size in bytes of the regular file at ``path``, before anything is read of it.

    Pipes and devices are refused without being opened: they may never end.

    Raises:
        PjcError: as ``error`` makes it, where there is no such file, it cannot be read, or it holds more than
            ``limit`` bytes.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise error(f"{path} is a directory; name a file in it")
        if not stat.S_ISREG(found.st_mode):
            raise error(f"{path} is no file but a pipe or a device; write what it gives to a file first")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise error(f"there is no file {path}") from None
    except (OSError, ValueError) as failure:
        raise error(f"{path} cannot be read: {reason(failure)}") from None
    if limit is not None and found.st_size > limit:
        raise error(f"{path} holds {found.st_size} bytes, more than the {limit} that are read of such a file")
    return found.st_size


@contextmanager
def reading(path: Path | str, kind: str, error: Callable[[str], PjcError] = PjcError) -> Iterator[None]:
    """Within it, whatever the contents of a file make its reader raise becomes one sentence that names it.

    Readers of others' formats document few of the exceptions that damaged bytes raise in them, so none is
    listed here: all are the file's fault but those that say so themselves (PjcError), and those that are no
    errors (an interrupt).

    Args:
        path: the file.
        kind: what it should be, as it stands in a sentence: ``a .npy file``.
        error: makes what is raised from the sentence.
    """
    try:
        yield
    except PjcError:
        raise
    except MemoryError:
        raise error(f"{path} takes more memory than there is") from None
    except OSError as failure:
        raise error(f"{path} cannot be read: {reason(failure)}") from failure
    except RecursionError as failure:
        raise error(f"{path} is not {kind} that can be read: it is nested too deeply") from failure
    except Exception as failure:
        raise error(f"{path} is not {kind} that can be read: {reason(failure)}") from failure


def reason(error: BaseException) -> str:
    """Return what an error says on one line, without an OSError's number and file name."""
    said = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
    return said or type(error).__name__
