"""``x[0, 1:3]``: slices and indices of tuples; those of tensors are the builder's."""

from __future__ import annotations

from collections.abc import Sequence

from pjc.builder.values import LoopIndex
from pjc.builder.views import Item, step_of
from pjc.frontends.values import Mistake, Value


def index_tuple(value: tuple[Value, ...], items: Sequence[Item]) -> Value:
    """Return an entry or a part of a tuple."""
    if len(items) != 1 or items[0] is ...:
        raise Mistake("a tuple takes one index")
    item = items[0]
    if isinstance(item, LoopIndex):
        raise Mistake("a loop cannot index a tuple", "stack its tensors and index the result")
    if isinstance(item, int):
        if not -len(value) <= item < len(value):
            raise Mistake(f"index {item} is out of range for a tuple of {len(value)}")
        return value[item]
    assert isinstance(item, slice)
    return value[slice(item.start, item.stop, step_of(item))]
