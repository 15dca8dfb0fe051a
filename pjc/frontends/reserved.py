"""The words of the language that no value of a generated text may be called."""

from __future__ import annotations

from pjc.dialects.ops import INITIALIZERS
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.layout import STATEMENTS
from pjc.frontends.losses import LOSSES
from pjc.frontends.sets import SETS

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
        "f32",
        "int",
        "class",
        "shape",
    }
)
