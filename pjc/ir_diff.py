"""What a pass, or an option, changed of a module: the lines that are not in both texts."""

from __future__ import annotations

from difflib import unified_diff

NONE = "(nothing changed)\n"


def difference(before: str, after: str, context: int = 1) -> str:
    """Return the lines that went, with ``-``, and that came, with ``+``, and some around; or :data:`NONE`."""
    lines = list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=context))[2:]
    return "\n".join([*lines, ""]) if lines else NONE
