"""What texts that are generated need: names that are free, and tuples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set

from pjc.dialects.ops import INITIALIZERS
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.layout import STATEMENTS
from pjc.frontends.losses import LOSSES
from pjc.frontends.sets import SETS

LONGEST = 60
"""The most characters that a name is made of before a number is put behind it."""

TYPES = ("f32", "int", "class")
"""The words for what the entries of a tensor are."""

RESERVED = frozenset(
    {
        *STATEMENTS,
        "in",
        "batch",
        *INITIALIZERS,
        *FUNCTIONS,
        *LOSSES,
        *SETS,
        "SAME",
        "VALID",
        *TYPES,
        "shape",
    }
)
"""The words of the language that no value may be called."""


def free_name(wanted: str, taken: Set[str]) -> str:
    """Return a name of the language like the one that is wanted, which is not taken."""
    base = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "value"
    base = (f"v{base}" if base[0].isdigit() else base)[:LONGEST]
    found, number = base, 2
    while found in taken or found in RESERVED:
        found, number = f"{base}_{number}", number + 1
    return found


def tuple_text(items: Iterable[object]) -> str:
    """Return a tuple of the language: ``(a, b)``, and ``(a,)`` for one item."""
    texts = [str(each) for each in items]
    return f"({texts[0]},)" if len(texts) == 1 else f"({', '.join(texts)})"
