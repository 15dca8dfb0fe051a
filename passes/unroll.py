"""Repeat the bodies of loops."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr, UnitAttr
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import net, ops, view
from pjc.dialects.loops import AtOp, ForOp, YieldOp, loops_around
from pjc.dialects.view import shape_of
from pjc.passes.rewriting.loop_parameters import family, lift_parameters

MAX_OPS = 50_000
"""The most operations that a network may have once its loops are unrolled."""

UNROLLED = "unrolled"
"""The attribute of a network whose loops were unrolled; its equal layers are not rolled up again."""


@dataclass(frozen=True)
class UnrollPass(ModulePass):
    """Repeat the bodies of loops, once for each iteration.

    The cyclic solvers need it, which go through the iterations of a loop in turn; for the others a loop is
    one family of constraints. Parameters of a loop stay one tensor, of which each iteration reads a slice.

    ```
    %h = net.for "t" 2 carries (%h0) : (tensor<3xf32>) -> (tensor<3xf32>) collects () {
    ^body(%a : tensor<3xf32>):
      %b = op.identity %a : tensor<3xf32> -> tensor<3xf32>
      net.yield (%b) collect () : (tensor<3xf32>) collect ()
    }
    ```
    becomes
    ```
    %b = op.identity %h0 : tensor<3xf32> -> tensor<3xf32>
    %h = op.identity %b : tensor<3xf32> -> tensor<3xf32>
    ```
    """

    name = "net-unroll"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for network in [each for each in op.ops if isinstance(each, net.NetworkOp)]:
            require_few(network)
            lift_parameters(network)
            for loop in reversed([each for each in network.walk() if isinstance(each, ForOp)]):
                unroll(loop)
                network.attributes[UNROLLED] = UnitAttr()


def require_few(network: net.NetworkOp) -> None:
    """Raise PassFailedException if a network without its loops has more than :data:`MAX_OPS` operations.

    Counted before any is made: an operation in loops is made once for each iteration of them all.
    """
    total = 0
    for op in network.walk():
        total += prod(loop.iterations for loop in loops_around(op))
        if total > MAX_OPS:
            loops = loops_around(op)
            raise PassFailedException(
                f"loops are unrolled, and with loop '{loops[0].label.data if loops else ''}' the network "
                f"would have more than {MAX_OPS:,} operations; write fewer iterations, or take a solver "
                "that keeps loops"
            )


def unroll(loop: ForOp) -> None:
    """Replace a loop by its iterations."""
    block = loop.parent_block()
    assert block is not None
    families: dict[ops.ParameterOp, ops.ParameterOp] = {}
    for op in loop.body.block.ops:
        if isinstance(op, ops.ParameterOp) and op.members is None:
            families[op] = family(op, loop.iterations)
            block.insert_op_before(families[op], loop)
    carried = list(loop.inits)
    rows: list[list[SSAValue]] = [[] for _ in loop.collected]
    end = loop.yield_op()
    for iteration in range(loop.iterations):
        values: dict[SSAValue, SSAValue] = dict(zip(loop.body.block.args, carried, strict=True))
        for op in loop.body.block.ops:
            if not isinstance(op, YieldOp):
                values |= _repeated(op, iteration, values, families, loop)
        carried = [values.get(value, value) for value in end.carried]
        for row, value in zip(rows, end.collected, strict=True):
            row.append(_expanded(values.get(value, value), loop))
    stacked = [_joined(row, loop) for row in rows]
    for old, new in zip(loop.results, [*carried, *stacked], strict=True):
        new.name_hint = new.name_hint or old.name_hint
        old.replace_all_uses_with(new)
    loop.detach()
    loop.erase()


def _repeated(
    op: Operation,
    iteration: int,
    values: dict[SSAValue, SSAValue],
    families: dict[ops.ParameterOp, ops.ParameterOp],
    loop: ForOp,
) -> dict[SSAValue, SSAValue]:
    """Put one op of an iteration before the loop; return what stands for its results."""
    if isinstance(op, ops.ParameterOp) and op.members is not None:
        member = ops.ParameterOp(op.members.data[iteration].data, op.init, op.result.type)
        member.location = op.location
        return {op.result: _insert(member, loop)}
    if isinstance(op, ops.ParameterOp):
        return {op.result: _entry(families[op].result, 0, iteration, loop)}
    if isinstance(op, AtOp):
        axis, first, step = op.numbers()
        return {op.result: _entry(op.operand, axis, first + iteration * step, loop)}
    new = op.clone(value_mapper=values)
    new.location = op.location
    if isinstance(new, ops.NodeOp) and new.label is not None:
        new.label = StringAttr(f"{new.label.data}.{iteration}")
    _put(new, loop)
    return dict(zip(op.results, new.results, strict=True))


def _entry(value: SSAValue, axis: int, index: int, loop: ForOp) -> SSAValue:
    """Return one entry of an axis."""
    shape = shape_of(value)
    starts, limits = [0] * len(shape), list(shape)
    starts[axis], limits[axis] = index, index + 1
    cut = _insert(view.SliceOp(value, starts, limits, [1] * len(shape)), loop)
    return _insert(view.ReshapeOp(cut, (*shape[:axis], *shape[axis + 1 :])), loop)


def _expanded(value: SSAValue, loop: ForOp) -> SSAValue:
    return _insert(view.ReshapeOp(value, (1, *shape_of(value))), loop)


def _joined(rows: list[SSAValue], loop: ForOp) -> SSAValue:
    return rows[0] if len(rows) == 1 else _insert(view.ConcatOp(rows, 0), loop)


def _insert(op: Operation, loop: ForOp) -> SSAValue:
    _put(op, loop)
    return op.results[0]


def _put(op: Operation, loop: ForOp) -> None:
    block = loop.parent_block()
    assert block is not None
    block.insert_op_before(op, loop)
