"""Writes the dumps of the documents anew, each by the command that stands above it: ``python docs/dumps.py``.

They are shown without the module around them. Those with a ``// ...`` are shortened by hand, and stay;
tests/test_docs.py holds both kinds to what pjc prints.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import textwrap
from pathlib import Path

from pjc.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = tuple(ROOT / "docs" / name for name in ("tour.md", "training.md"))
SHORTENED = "// ..."
DUMP = re.compile(r"`pjc (?P<command>[^`]* --emit [^`]*)`[^`]*```mlir\n(?P<text>.*?)```", re.DOTALL)


def printed(command: str) -> str:
    """Return the module's body that a command prints; the files that it names are those of the checkout."""
    output = io.StringIO()
    words = [str(ROOT / word) if word.startswith("examples/") else word for word in shlex.split(command)]
    with contextlib.redirect_stdout(output):
        status = main(words)
    if status != 0:
        raise SystemExit(f"pjc {command} failed")
    head, *body, tail, end = output.getvalue().split("\n")
    if (head, tail, end) != ("builtin.module {", "}", ""):
        raise SystemExit(f"pjc {command} printed no module")
    return textwrap.dedent("\n".join(body)) + "\n"


def renewed_page(page: Path) -> str:
    """Return the text of a page with new dumps."""

    def renewed(match: re.Match[str]) -> str:
        if SHORTENED in match["text"]:
            return match[0]
        return match[0].replace(match["text"], printed(match["command"]))

    return DUMP.sub(renewed, page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(renewed_page(each), encoding="utf-8")
