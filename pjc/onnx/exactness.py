"""Whether an exported model gives what ``apply`` does to the last bit, and what is in the way.

An operation on entries is rounded once by both, in the same order, so that equal operands give equal results.
A sum of many depends on its order, unless all its terms, and whatever part of them has been added up, are
numbers that float32 has: whole multiples of a power of two, that are not too large.
"""

from __future__ import annotations

from collections.abc import Iterator, Set

from xdsl.ir import Block, Operation, SSAValue

from pjc.dialects import ops
from pjc.dialects.view import shape_of
from pjc.onnx.integers import Integers


def differing(block: Block, integers: Integers, scaled: Set[str]) -> Iterator[str]:
    """Yield what keeps outputs from being the same, each reason once.

    Args:
        block: a network without loops, all of it written.
        integers: what its whole numbers are written with.
        scaled: outputs that are in units of their own.
    """
    behind: dict[SSAValue, frozenset[str]] = {}
    told: set[str] = set()
    for op in block.ops:
        reasons = frozenset[str]().union(*(behind.get(each, frozenset()) for each in op.operands))
        if isinstance(op, ops.OutputOp):
            own = f"output '{op.label.data}' is multiplied and shifted into units"
            wanted = [*sorted(reasons), *([own] if op.label.data in scaled else [])]
            yield from (each for each in wanted if each not in told)
            told |= set(wanted)
        own_reason = _reason(op, integers)
        if own_reason:
            reasons |= {f"'{op.called if isinstance(op, ops.NodeOp) else op.name}': {own_reason}"}
        behind |= dict.fromkeys(op.results, reasons)


def _reason(op: Operation, integers: Integers) -> str:
    match op:
        case ops.DotOp():
            return integers.why.get(op, "")
        case ops.SumOp() | ops.SumReluOp() if len(op.axes):
            if all(shape_of(op.terms[0])[axis] == 1 for axis in op.axes.get_values()):
                return ""
            if integers.found.get(op.result) is None:
                return "it adds up numbers that are not multiples of a power of two, or too many"
            return next(filter(None, map(integers.outside_of, op.terms)), "")
    return ""
