"""What the command line says of what went wrong, and with which exit code.

Every sentence begins with the place in a file, ``FILE:LINE:COLUMN: error[CODE]:``, or with
``pjc: error[CODE]:`` where it has none; what can be done follows as ``hint:``, and ``pjc explain CODE`` tells
more. The exit code is 2 for a command line that cannot be read, and 1 for all else.
"""

from __future__ import annotations

import errno
import os
import sys

from pjc.codes import INTERNAL, MEMORY, SYSTEM
from pjc.diagnostics import DiagnosticError, PjcError, code_of, printable, severity


def report(error: BaseException) -> int:
    """Print what went wrong, in a sentence, and return the exit code."""
    if isinstance(error, DiagnosticError):
        for each, text in zip(error.diagnostics, error.rendered, strict=True):
            print(text if each.span else f"pjc: {text}", file=sys.stderr)
        return 1
    if isinstance(error, PjcError):
        return fail(str(error), kind=code_of(error))
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return fail("out of memory; give a smaller --batch, or a smaller network", kind=MEMORY)
    if isinstance(error, OSError):
        # Only where it is opened a file tells its name: what has none was being written, or printed.
        unnamed = "what is written or printed: " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        named = f"{error.filename}: " if error.filename else unnamed
        return fail(f"{named}{error.strerror or error}", kind=SYSTEM)
    if os.environ.get("PJC_TRACEBACK"):
        raise error
    text = " ".join(str(error).split())[:500]
    hints = ["this is a mistake in pjc; PJC_TRACEBACK=1 shows where it happened"]
    hints += getattr(error, "__notes__", [])
    return fail("\nhint: ".join([f"internal error, {type(error).__name__}: {text}", *hints]), kind=INTERNAL)


def fail(message: str, code: int = 1, kind: str | None = None) -> int:
    """Print a sentence about what went wrong, of the kind that its code tells; return the exit code."""
    print(printable(f"pjc: {severity(kind)}: {message}"), file=sys.stderr)
    return code
