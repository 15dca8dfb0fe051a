"""Numbers of attributes, which are 64-bit, that the network's type cannot hold."""

from __future__ import annotations

import math
from collections.abc import Iterator

from xdsl.dialects.builtin import ArrayAttr, DenseArrayBase, DictionaryAttr, Float64Type, FloatAttr
from xdsl.ir import Attribute, Operation

from pjc.dialects.nodes import InitAttr
from pjc.fields import LARGEST_F32


def wrong_number(op: Operation, f32: bool) -> str | None:
    """Return what is wrong with an operation that holds a number which is not finite, or not in ``f32``."""
    for attribute in (*op.properties.values(), *op.attributes.values()):
        for number in _numbers(attribute):
            if not math.isfinite(number):
                return f"the number {number} is not finite"
            if f32 and abs(number) > LARGEST_F32:
                return f"the number {number:g} is too large for f32, which holds up to {LARGEST_F32:.2g}"
    return None


def _numbers(attribute: Attribute) -> Iterator[float]:
    """Yield the numbers of an attribute, and those that they make together."""
    match attribute:
        case FloatAttr():
            yield attribute.value.data
        case InitAttr():
            yield attribute.scale.value.data
            for number in _numbers(attribute.arguments):
                yield number
                yield attribute.scale.value.data * number
        case DenseArrayBase() if isinstance(attribute.elt_type, Float64Type):
            yield from map(float, attribute.get_values())
        case ArrayAttr():
            for each in attribute.data:
                yield from _numbers(each)
        case DictionaryAttr():
            for each in attribute.data.values():
                yield from _numbers(each)
