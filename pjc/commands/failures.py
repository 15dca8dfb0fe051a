"""What the command line says of what went wrong, and with which exit code.

Every sentence begins with the place in a file, ``FILE:LINE:COLUMN: error:``, or with ``pjc: error:`` where it
has none; what can be done follows as ``hint:``. The exit code is 2 for a command line that cannot be read,
and 1 for all else.
"""

from __future__ import annotations

import os
import sys

from pjc.diagnostics import DiagnosticError, PjcError, printable


def report(error: BaseException) -> int:
    """Print what went wrong, in a sentence, and return the exit code."""
    if isinstance(error, DiagnosticError):
        for each, text in zip(error.diagnostics, error.rendered, strict=True):
            print(text if each.span else f"pjc: {text}", file=sys.stderr)
        return 1
    if isinstance(error, PjcError):
        return fail(str(error))
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return fail("out of memory; give a smaller --batch, or a smaller network")
    if isinstance(error, OSError):
        named = f"{error.filename}: " if error.filename else ""
        return fail(f"{named}{error.strerror or error}")
    if os.environ.get("PJC_TRACEBACK"):
        raise error
    text = " ".join(str(error).split())[:500]
    hints = ["this is a mistake in pjc; PJC_TRACEBACK=1 shows where it happened"]
    hints += getattr(error, "__notes__", [])
    return fail("\nhint: ".join([f"internal error, {type(error).__name__}: {text}", *hints]))


def fail(message: str, code: int = 1) -> int:
    """Print a sentence about what went wrong; return the exit code."""
    print(printable(f"pjc: error: {message}"), file=sys.stderr)
    return code
