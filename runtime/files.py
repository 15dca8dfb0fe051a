"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pjc import interrupts
from pjc.diagnostics import PjcError
from pjc.reading import reason


class WriteError(PjcError, OSError):
    """A file that cannot be written; its text says which, and ``why``."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(f"{path} cannot be written: {why}")
        self.why = why


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in the place of ``path``.

    What a link points to is replaced, not the link; a device or a pipe is written to as it is. The new file
    has the mode of the old one, and its owner and group where this process may give them.

    Raises:
        WriteError: where that cannot be done; ``path`` is then as it was.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if path.exists() and not path.is_file():
            _fill(path, write)
        else:
            _replace(path.resolve(), write)
    except WriteError as error:
        raise WriteError(path, error.why) from None
    except OSError as error:
        raise WriteError(path, error.strerror or str(error)) from None
    except RuntimeError as error:  # what resolve() makes of a link that leads to itself
        raise WriteError(path, "it is a link to itself") from error


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        with interrupts.temporary(name):
            _fill(temporary, write)
        _flush(temporary)
        _take_over(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a file; raise WriteError for what libraries of others raise instead of OSError."""
    try:
        write(path)
    except (PjcError, OSError, MemoryError):
        raise
    except Exception as error:
        raise WriteError(path, reason(error)) from error


def _take_over(path: Path, temporary: Path) -> None:
    """Give a temporary file the mode and the owner of the one that it replaces, or those of a new one."""
    try:
        old = path.stat()
    except FileNotFoundError:
        temporary.chmod(0o666 & ~_umask())
        return
    with suppress(OSError):  # only root may give files away, and only to its own groups may another
        os.chown(temporary, old.st_uid, old.st_gid)
    temporary.chmod(stat.S_IMODE(old.st_mode) & 0o777)


def require_writable(path: Path) -> None:
    """Raise WriteError where :func:`replace_file` could only fail: for a folder, or a link to itself."""
    if _is_loop(path):
        raise WriteError(path, "it is a link to itself")
    if path.is_dir():
        raise WriteError(path, os.strerror(errno.EISDIR))


def require_room(path: Path, size: int) -> None:
    """Raise WriteError unless ``size`` bytes can be written beside ``path``: they are taken for a moment."""
    try:
        handle, name = tempfile.mkstemp(prefix=path.name + ".", suffix=path.suffix, dir=path.resolve().parent)
        try:
            with interrupts.temporary(name):
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(handle, 0, max(size, 1))
                else:
                    os.write(handle, b"0")
        finally:
            os.close(handle)
            Path(name).unlink(missing_ok=True)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # a file system that cannot tell
            return
        why = error.strerror or str(error)
        raise WriteError(path, f"{why}; the run writes at least {size} bytes") from None


def _is_loop(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:
        return error.errno == errno.ELOOP
    return False


@contextmanager
def held(paths: Sequence[Path]) -> Iterator[None]:
    """Keep all other processes that ask for it from writing these files, as long as it lasts.

    A lock is a file beside each, ``.NAME.lock``, which says who holds it. The system gives the lock back when
    its process ends, however it ends, so that one of a killed process holds up no one.

    Raises:
        WriteError: if another process holds one of them; it says which.
    """
    with ExitStack() as stack:
        for path in paths:
            stack.enter_context(_held(path))
        yield


@contextmanager
def _held(path: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # a system without such locks
        yield
        return
    if _is_loop(path):
        raise WriteError(path, "it is a link to itself")
    target = path.resolve()
    lock = target.with_name(f".{target.name}.lock")
    try:
        handle = _locked(lock, fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WriteError(
            path, f"{_holder(lock)} writes it; wait until it has ended, or choose another name with -o"
        ) from None
    except OSError:  # a file system that has no locks, or a folder in which nothing may be written
        yield
        return
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        with interrupts.temporary(str(lock)):
            yield
    finally:
        with suppress(OSError):
            lock.unlink()  # while it is held, so that it is no one else's
        os.close(handle)


def _locked(lock: Path, flock: Callable[[int, int], None], how: int) -> int:
    """Return the locked file ``lock``, open; one that its holder removed meanwhile is made anew."""
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            flock(handle, how)
            if _is_at(handle, lock):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _holder(lock: Path) -> str:
    try:
        said = lock.read_bytes()[:200].decode(errors="replace").strip()
    except OSError:
        said = ""
    return said or "another process"


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of ``path`` that :func:`replace_file` left where it was killed.

    To be called by who holds ``path`` (:func:`held`) alone: another's may be in use.
    """
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
