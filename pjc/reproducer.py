"""What a crash of a pass leaves behind: a file of IR that ``pjc opt`` crashes on in the same way."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException, VerifyException

from pjc.diagnostics import PjcError, printable

PACKAGES = ("pjc", "xdsl", "jax", "numpy")
"""Those whose versions a crash may depend on."""
EXPECTED = (PjcError, PassFailedException, VerifyException, MemoryError, OSError)
"""What says by itself what is wrong, or has its cause outside of the pass."""


@contextmanager
def reproducible(module: ModuleOp, passes: Sequence[ModulePass]) -> Iterator[None]:
    """Within it, an exception that is a mistake in one of the passes gets a note that names a reproducer.

    ``module`` is what the first of the passes was given, and has to stay as it is.
    """
    try:
        yield
    except EXPECTED:
        raise
    except Exception as error:
        with suppress(Exception):  # what cannot be printed or written must not hide the crash itself
            path = write_reproducer(module, passes, error)
            error.add_note(f"{path} holds the IR before it, and how to run it again; send it with a report")
        raise


def write_reproducer(module: ModuleOp, passes: Sequence[ModulePass], error: Exception) -> Path:
    """Write the IR, the command that runs the passes on it, and versions; return the new file.

    It is written into the folder for temporary files, so that no crash writes beside a source.
    """
    pipeline = ",".join(str(each.spec()) for each in passes)
    with tempfile.NamedTemporaryFile(
        "w", prefix="pjc-crash-", suffix=".mlir", delete=False, encoding="utf-8"
    ) as file:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        versions = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
        file.write(printable(f"// pjc opt {file.name} -p '{pipeline}'\n// {told}\n"))
        file.write(f"// {versions}, Python {sys.version.split()[0]}\n{module!s}\n")
    return Path(file.name)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
