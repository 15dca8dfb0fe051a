"""Puts net and view ops into the network, each with its label and its place in the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from xdsl.dialects.builtin import FileLineColLoc, IntAttr, StringAttr, TensorType, f32, i32
from xdsl.ir import Attribute, Block, Operation, SSAValue

from pjc.diagnostics import Span
from pjc.dialects import ops, shapes, view
from pjc.dialects.loops import AtOp
from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.view import element_of, shape_of
from pjc.frontends.report import Report
from pjc.frontends.values import Mistake, Names, Tensor

MAX_OPS = 10_000
"""Files that make more ops than this are refused: blocks that call blocks grow exponentially."""


class Emitter:
    """The block that ops go to, the network's or that of a loop, and the number of ops in all.

    ``loops`` holds the bodies of the loops that are being read, the outermost first, and how often each
    repeats.
    """

    def __init__(self, report: Report) -> None:
        self.network = self.block = Block()
        self.element: Attribute = f32
        self.loops: dict[Block, int] = {}
        self.report = report
        self.count = 0

    def made_in(self, value: SSAValue, body: Block) -> bool:
        """Whether a value is made in the body of a loop that is being read, or carried by that loop."""
        owner = value.owner
        block = owner if isinstance(owner, Block) else owner.parent_block()
        return block in self.inside(body)

    def inside(self, body: Block) -> list[Block]:
        """Return the bodies of the loops being read from a loop inwards, its own first."""
        bodies = list(self.loops)
        return bodies[bodies.index(body) :]

    def around(self, body: Block) -> Block:
        """Return the block that a loop stands in."""
        at = list(self.loops).index(body)
        return list(self.loops)[at - 1] if at else self.network

    def add(self, op: Operation, label: str, span: Span, block: Block | None = None) -> SSAValue | None:
        """Append an op, to another block if one is given; return its result, if it has one."""
        _check_indices(op)
        self.count += 1
        if self.count > MAX_OPS:
            message = f"the network has more than {MAX_OPS:,} operations"
            self.report.give_up(message, span, "do blocks call blocks many times over?")
        place = FileLineColLoc(StringAttr(span.file), IntAttr(span.line), IntAttr(span.column))
        op.location = place
        if isinstance(op, ops.NodeOp) and op.label is None:
            op.label = StringAttr(label)
        (block or self.block).add_op(op)
        if not op.results:
            return None
        set_hint(op.results[0], label)
        return op.results[0]


def _check_indices(op: Operation) -> None:
    """Raise Mistake if the op takes indices for numbers, or numbers for indices."""
    moves = ops.IndexOp | view.ViewOp | AtOp
    made = [value for value in op.operands if isinstance(value.owner, moves)]
    indices = [value for value in made if element_of(value) == i32]
    if isinstance(op, view.GatherOp):
        if op.indices not in indices:
            raise Mistake("the indices of a gather must be int", "declare them as 'input tokens: int[...]'")
        if op.table in indices:
            raise Mistake("a gather takes rows of a table of numbers, and these are indices")
    elif isinstance(op, view.PadOp) and indices:
        raise Mistake("indices cannot be padded", "pad the rows that they name")
    elif isinstance(op, view.ConcatOp) and 0 < len(indices) < len(op.operands):
        raise Mistake("indices and numbers cannot be joined in one tensor")
    elif indices and not isinstance(op, moves):
        raise Mistake(
            "indices are no numbers to compute with", "embedding(table, indices) gives rows of a table"
        )


def set_hint(value: SSAValue, label: str) -> None:
    """Name a value in the dumps."""
    if re.fullmatch(r"[A-Za-z_$.-][\w$.-]*", label):
        value.name_hint = label


@dataclass(frozen=True)
class Site:
    """Where in the file, and in which block, ops are made."""

    emitter: Emitter
    scope: str
    span: Span

    def op(
        self, op: Operation, names: Names, written: str | None = None, block: Block | None = None
    ) -> Tensor:
        """Append an op and return its result; it is labelled as it was written, or by its kind.

        It goes to another block than the current one if one is given.
        """
        kind = written or op.name.split(".")[1]
        label = f"{self.scope}.{kind}" if self.scope else kind
        result = self.emitter.add(op, label, self.span, block)
        assert result is not None
        return Tensor(result, names)

    def constant(self, shape: Sequence[int], value: float) -> Tensor:
        """A tensor of one number."""
        kind = TensorType(self.emitter.element, list(shapes.checked(shape)))
        return self.op(ops.ConstantOp(value, kind), (None,) * len(shape))

    # Views; each returns the operand itself where nothing would change.

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        target = shapes.reshape(x.shape, tuple(shape))
        if target == x.shape:
            return x
        return self.op(view.ReshapeOp(x.ssa, target), _kept(x, target))

    def transpose(self, x: Tensor, permutation: Sequence[int]) -> Tensor:
        shapes.transpose(x.shape, permutation)
        if list(permutation) == list(range(x.rank)):
            return x
        names = tuple(x.names[axis] for axis in permutation)
        return self.op(view.TransposeOp(x.ssa, permutation), names)

    def broadcast(self, x: Tensor, shape: Shape, names: Names | None = None) -> Tensor:
        """Repeat to the shape, aligned at the right."""
        if x.shape == shape:
            return x
        if len(shape) < x.rank:
            raise ShapeError(f"cannot broadcast {shapes.show(x.shape)} to {shapes.show(shape)}")
        skipped = len(shape) - x.rank
        dims = range(skipped, len(shape))
        fits = [
            name if x.shape[axis] == size else None
            for axis, (name, size) in enumerate(zip(x.names, shape[skipped:], strict=True))
        ]
        kept = names or (*[None] * skipped, *fits)
        return self.op(view.BroadcastOp(x.ssa, shape, dims), kept)

    def slice(
        self, x: Tensor, starts: Sequence[int], limits: Sequence[int], strides: Sequence[int]
    ) -> Tensor:
        target = shapes.slice_(x.shape, starts, limits, strides)
        if target == x.shape:
            return x
        same = zip(x.names, x.shape, target, strict=True)
        names = tuple(name if old == new else None for name, old, new in same)
        return self.op(view.SliceOp(x.ssa, starts, limits, strides), names)

    def pad(self, x: Tensor, low: Sequence[int], high: Sequence[int]) -> Tensor:
        target = shapes.pad(x.shape, low, high)
        if target == x.shape:
            return x
        same = zip(x.names, x.shape, target, strict=True)
        names = tuple(name if old == new else None for name, old, new in same)
        return self.op(view.PadOp(x.ssa, low, high), names)

    def patches(
        self, x: Tensor, axes: Sequence[int], window: Sequence[int], strides: Sequence[int]
    ) -> Tensor:
        """Windows that slide along axes; the window's own axes follow the last of them."""
        op = view.PatchesOp(x.ssa, axes, window, strides)
        names = tuple(None if axis in axes else name for axis, name in enumerate(x.names))
        behind = max(axes) + 1
        return self.op(op, (*names[:behind], *[None] * len(window), *names[behind:]))

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        if len(parts) == 1:
            shapes.axis_of(axis, parts[0].rank)
            return parts[0]
        op = view.ConcatOp([part.ssa for part in parts], axis)
        joined = op.axis.value.data
        names = (None if i == joined else name for i, name in enumerate(parts[0].names))
        return self.op(op, tuple(names))

    def gather(self, table: Tensor, indices: Tensor) -> Tensor:
        op = view.GatherOp(table.ssa, indices.ssa)
        return self.op(op, (*indices.names, *table.names[1:]))

    # Arithmetic

    def together(self, terms: Sequence[Tensor]) -> list[Tensor]:
        """Broadcast tensors to their common shape."""
        shape = shapes.broadcast_together([term.shape for term in terms])
        names: list[str | None] = [None] * len(shape)
        for term in terms:
            for axis in range(-term.rank, 0):
                if term.shape[axis] == shape[axis]:
                    names[axis] = names[axis] or term.names[axis]
        return [self.broadcast(term, shape, tuple(names)) for term in terms]

    def reduce(
        self,
        kind: type[ops.ReductionOp],
        terms: Sequence[Tensor],
        axes: Sequence[int] = (),
    ) -> Tensor:
        """Reduce the terms, broadcast to one shape, together and along the axes."""
        equal = self.together(terms)
        gone = shapes.axes_of(axes, equal[0].rank)
        names = tuple(name for i, name in enumerate(equal[0].names) if i not in gone)
        return self.op(kind([term.ssa for term in equal], gone), names)

    def weighted(
        self, terms: Sequence[Tensor], weights: Sequence[float], offset: float = 0.0, axes: Sequence[int] = ()
    ) -> Tensor:
        """Add a number and the weighted terms, broadcast to one shape, together and along the axes."""
        if not any(weights):
            raise Mistake("a tensor times 0 is no constraint on it", "full(shape, 0) makes zeros")
        equal = self.together(terms)
        gone = shapes.axes_of(axes, equal[0].rank)
        names = tuple(name for i, name in enumerate(equal[0].names) if i not in gone)
        return self.op(ops.SumOp([term.ssa for term in equal], gone, weights, offset), names)

    def product(self, lhs: Tensor, rhs: Tensor) -> Tensor:
        """Multiply entry by entry, broadcast to one shape."""
        one, other = self.together([lhs, rhs])
        return self.op(ops.ProductOp(one.ssa, other.ssa), one.names)

    def piecewise(
        self,
        written: str,
        x: Tensor,
        edges: Sequence[float],
        slopes: Sequence[float],
        offsets: Sequence[float],
        margin: float = 0.0,
    ) -> Tensor:
        """A piecewise linear function of every entry; see :class:`ops.PiecewiseOp`."""
        room = min((b - a for a, b in pairwise(edges)), default=inf) / 2
        if not 0 <= margin <= room:
            wanted = "at least 0" if room == inf else f"from 0 to {room:g}, half of the shortest piece"
            raise Mistake(f"the margin must be {wanted}, found {margin:g}")
        return self.op(ops.PiecewiseOp(x.ssa, edges, slopes, offsets, margin), x.names, written)

    def matmul(self, lhs: Tensor, rhs: Tensor) -> Tensor:
        """``lhs @ rhs`` with NumPy's rules for vectors and for leading dimensions."""
        if not lhs.rank or not rhs.rank:
            raise ShapeError(f"'@' takes tensors of rank 1 or more, found {lhs} and {rhs}")
        inner = rhs.shape[max(0, rhs.rank - 2)]
        if lhs.shape[-1] != inner:
            which = "second to last dimension" if rhs.rank > 1 else "dimension"
            turned = rhs.rank > 1 and lhs.shape[-1] == rhs.shape[-1]
            raise ShapeError(
                f"'@' needs the last dimension of {lhs} to equal the {which} of {rhs}, "
                f"found {lhs.shape[-1]} and {inner}",
                "transpose the second?" if turned else None,
            )
        rows = lhs if lhs.rank > 1 else self.reshape(lhs, (1, *lhs.shape))
        columns = rhs if rhs.rank > 1 else self.reshape(rhs, (*rhs.shape, 1))
        product = self._batched(rows, columns)
        shape, names = list(product.shape), list(product.names)
        if lhs.rank == 1:
            del shape[-2], names[-2]
        if rhs.rank == 1:
            del shape[-1], names[-1]
        return Tensor(self.reshape(product, shape).ssa, tuple(names))

    def _batched(self, lhs: Tensor, rhs: Tensor) -> Tensor:
        if rhs.rank == 2:
            rows = self.reshape(lhs, (-1, lhs.shape[-1]))
            product = self.op(ops.DotOp(rows.ssa, rhs.ssa), (rows.names[0], rhs.names[-1]), "matmul")
            back = self.reshape(product, (*lhs.shape[:-1], rhs.shape[-1]))
            return Tensor(back.ssa, (*lhs.names[:-1], rhs.names[-1]))
        lead = shapes.broadcast_together([lhs.shape[:-2], rhs.shape[:-2]])
        left = self.broadcast(lhs, (*lead, *lhs.shape[-2:]))
        right = self.broadcast(rhs, (*lead, *rhs.shape[-2:]))
        both = zip(left.names[:-2], right.names[:-2], strict=True)
        names: Names = (*(a or b for a, b in both), left.names[-2], right.names[-1])
        return self.op(ops.DotOp(left.ssa, right.ssa), names, "matmul")


def _kept(x: Tensor, target: Shape) -> Names:
    """Return the names that a reshape keeps: those of the first and the last equal sizes."""
    names: list[str | None] = [None] * len(target)
    old = shape_of(x.ssa)
    first = 0
    while first < min(len(old), len(target)) and old[first] == target[first]:
        names[first] = x.names[first]
        first += 1
    last = 1
    while last <= min(len(old), len(target)) - first and old[-last] == target[-last]:
        names[-last] = x.names[-last]
        last += 1
    return tuple(names)
