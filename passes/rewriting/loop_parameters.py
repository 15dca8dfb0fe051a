"""The parameters that a loop has in all iterations, as one tensor above it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from xdsl.ir import Operation

from pjc.dialects import net, ops, view
from pjc.dialects.loops import AtOp, loops_around
from pjc.dialects.view import shape_of


def family(op: ops.ParameterOp, count: int) -> ops.ParameterOp:
    """Return the parameters that a loop's parameter has in all iterations, as one."""
    kind = view.tensor_like(op.result, (count, *shape_of(op.result)))
    made = ops.ParameterOp(op.label.data, op.init, kind, count)
    made.location = op.location
    made.result.name_hint = op.result.name_hint
    return made


def lift_parameters(network: net.NetworkOp) -> None:
    """Declare the parameters of loops in loops above them all, and let iterations read their slices."""
    for op in [each for each in network.walk() if isinstance(each, ops.ParameterOp)]:
        loops = loops_around(op)
        if len(loops) < 2:
            continue
        counts = [loop.iterations for loop in loops]
        whole = family(op, prod(counts))
        parted = view.ReshapeOp(whole.result, (*counts, *shape_of(op.result)))
        _insert([whole, parted], loops[0])
        value = parted.result
        for inner in [*loops[1:], op]:
            at = AtOp(value, 0, 0, 1)
            _insert([at], inner)
            value = at.result
        for made in (parted, value.owner):
            assert isinstance(made, Operation)
            made.location = op.location
        op.result.replace_all_uses_with(value)
        op.detach()
        op.erase()


def _insert(ops: Sequence[Operation], before: Operation) -> None:
    block = before.parent_block()
    assert block is not None
    block.insert_ops_before(ops, before)
