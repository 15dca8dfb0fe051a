"""The example of each set, which its declaration gives, as what projects onto it."""

from __future__ import annotations

from pjc.builder.sets import arguments
from pjc.dialects.set_fields import described
from pjc.dialects.sets import SETS
from pjc.runtime.emit.values import made_set
from pjc.runtime.projections.sets import ConstraintSet


def example_of(name: str) -> ConstraintSet:
    """Return the example of a set of tensors of 4 x 4."""
    return made_set(name, described(name, arguments(name, SETS[name].example, {}), (4, 4)))
