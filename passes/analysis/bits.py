"""How many bits a network's values need, and what its products cost in whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import log2, prod

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.ir import Block, BlockArgument, SSAValue

from pjc.dialects import ops
from pjc.dialects.loops import AtOp, ForOp, loops_around
from pjc.dialects.view import ViewOp, element_bytes, shape_of
from pjc.passes.analysis.multiples import Found, multiples_in


@dataclass(frozen=True)
class Layer:
    """A product of two tensors, or a convolution.

    Attributes:
        name: its label.
        products: how many products of two numbers it adds up, in all iterations of its loops.
        bits: those of its two operands; of floating-point numbers all of theirs.
    """

    name: str
    products: int
    bits: tuple[int, int]


@dataclass(frozen=True)
class Bits:
    """What a network of parameters in their sets needs."""

    found: Found
    required: dict[SSAValue, ops.SetOp]

    @classmethod
    def of(cls, block: Block) -> Bits:
        """Return what is known of the values of a network."""
        required = {op.value: op for op in block.walk() if isinstance(op, ops.SetOp)}
        return cls(multiples_in(block), required)

    def layers(self, block: Block) -> Iterator[Layer]:
        """Yield the network's products, in the order of the text."""
        for op in block.walk():
            if isinstance(op, ops.DotOp):
                repeated = prod(loop.iterations for loop in loops_around(op))
                terms = shape_of(op.lhs)[-1]
                count = prod(shape_of(op.result)) * terms * repeated
                yield Layer(op.called, count, (self.value(op.lhs), self.value(op.rhs)))

    def value(self, value: SSAValue) -> int:
        """Return the bits that an entry of a value needs to be told from the others that it may be."""
        return max(self._source(each) for each in _sources(value))

    def _source(self, value: SSAValue) -> int:
        op = value.owner
        match op:
            case ops.QuantizeLinearOp():
                _, low, high = op.numbers()
                return _told(high - low + 1)
            case ops.QuantizeOp():
                return _told(len(op.levels))
            case ops.PiecewiseOp() if not any(op.slopes.get_values()):
                return _told(len(set(op.offsets.get_values())))
            case ops.ParameterOp() if value in self.required:
                return self._parameter(value, self.required[value])
        known = self.found.get(value)
        return self._whole(value) if known is None else min(_told(2 * known.bound + 1), self._whole(value))

    def _parameter(self, value: SSAValue, op: ops.SetOp) -> int:
        fields = op.fields()
        levels, low, high = fields.get("levels"), fields.get("low"), fields.get("high")
        if op.kind.data in ("levels", "scaled_levels") and isinstance(levels, DenseArrayBase):
            return _told(len(levels))
        if op.kind.data == "powers_of_two" and isinstance(low, IntegerAttr) and isinstance(high, IntegerAttr):
            return _told(2 * (high.value.data - low.value.data + 1) + 1)
        return self._whole(value)

    def _whole(self, value: SSAValue) -> int:
        return 8 * element_bytes(value.type)

    def stored(self, block: Block) -> dict[str, int]:
        """Return the bits that each parameter takes packed, with its scales, by label."""
        found: dict[str, int] = {}
        for op in block.walk():
            if isinstance(op, ops.ParameterOp):
                repeated = prod(loop.iterations for loop in loops_around(op))
                shape = shape_of(op.result)
                total = prod(shape) * self.value(op.result)
                required = self.required.get(op.result)
                if required is not None and required.kind.data == "scaled_levels":
                    axes = required.fields()["axes"]
                    assert isinstance(axes, DenseArrayBase)
                    kept = [size for axis, size in enumerate(shape) if axis not in axes.get_values()]
                    total += prod(kept) * self._whole(op.result)
                found[op.label.data] = total * repeated
        return found


def _sources(value: SSAValue) -> list[SSAValue]:
    """Return the values whose entries, or multiples of them by one number, those of a value are."""
    found: dict[SSAValue, None] = {}
    pending, seen = [value], {value}
    while pending:
        each = pending.pop()
        behind = _behind(each)
        if not behind:
            found[each] = None
        pending += [one for one in behind if one not in seen]
        seen.update(behind)
    return list(found) or [value]


def _behind(value: SSAValue) -> list[SSAValue]:
    op = value.owner
    loop = op.parent_op() if isinstance(value, BlockArgument) else None
    if isinstance(value, BlockArgument) and isinstance(loop, ForOp):
        return [loop.inits[value.index], loop.yield_op().carried[value.index]]
    if isinstance(op, ForOp):
        place = next(index for index, each in enumerate(op.results) if each is value)
        return [[*op.yield_op().carried, *op.yield_op().collected][place]]
    if not isinstance(op, ViewOp | AtOp | ops.MaxOp | ops.MinOp | ops.SumOp) or len(op.operands) > 1:
        return []
    return [] if isinstance(op, ops.SumOp) and len(op.axes) else list(op.operands)


def _told(count: float) -> int:
    """Return the bits that tell so many values from each other."""
    return max(1, int(log2(max(count, 1)) + 1 - 1e-9))
