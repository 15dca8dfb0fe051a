"""Where the samples of a batch are after a view or an operation, by where they are in what it reads.

A tensor's *rows* are the axis along which the sample changes, and how many entries of it follow each other
with one sample: entry ``i`` of the axis belongs to sample ``(i // inner) % batch``, so that a loop that lays
its iterations one after another, ``[T * batch, N]``, has them too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt

from xdsl.dialects.builtin import DenseArrayBase
from xdsl.ir import Attribute

from pjc.dialects import ops, proj
from pjc.dialects.ops import Reading, operation_of
from pjc.dialects.set_fields import inner
from pjc.dialects.sets import SETS
from pjc.dialects.shapes import Shape, show
from pjc.dialects.signature import Signature
from pjc.dialects.steps import Rows, Step
from pjc.dialects.view import GatherOp, ViewOp, shape_of


class Mixed(Exception):
    """Something reads several samples at once; the text says what."""


@dataclass(frozen=True)
class Layout:
    """The rows of a tensor: those it has, or those that it may have because it is the same along them."""

    rows: Rows | None = None
    perhaps: frozenset[Rows] = frozenset()

    def resolved(self) -> Rows | None:
        """Return the rows, once nothing more can be learned; of several those whose entries alternate."""
        if self.rows is not None or len(self.perhaps) == 1:
            return self.rows or next(iter(self.perhaps))
        alternating = [each for each in self.perhaps if each.inner == 1]
        return alternating[0] if len(alternating) == 1 else None


def joined(layouts: Iterable[Layout], where: str) -> Layout:
    """Return the layout of tensors that are read entry by entry together.

    Raises:
        Mixed: if they have samples in different places.
    """
    layouts = list(layouts)
    certain = {each.rows for each in layouts if each.rows is not None}
    if len(certain) > 1:
        raise Mixed(f"{where} reads values whose samples are along different axes")
    if not certain:
        return Layout(None, frozenset.intersection(*(each.perhaps for each in layouts)))
    (rows,) = certain
    if any(each.rows is None and rows not in each.perhaps for each in layouts):
        raise Mixed(f"{where} reads a value that is not the same for all samples, and of no sample")
    return Layout(rows)


def after_step(rows: Rows, step: Step, shape: Shape, batch: int) -> Rows:
    """Return the rows after a view's step on a tensor of the given shape.

    Raises:
        Mixed: if the step takes samples apart, or puts entries of several side by side.
    """
    after = step.rows_after(rows, shape, batch)
    if after is None:
        raise Mixed(f"view '{step}' of a tensor of shape {show(shape)} takes samples apart")
    return after


def possible_rows(shape: Shape, axes: Iterable[int], batch: int) -> frozenset[Rows]:
    """Return the rows that a tensor may have along some axes by their sizes."""
    return frozenset(
        Rows(axis, inner)
        for axis in axes
        if shape[axis] and shape[axis] % batch == 0
        for inner in _divisors(shape[axis] // batch)
    )


def _divisors(number: int) -> set[int]:
    small = [each for each in range(1, isqrt(number) + 1) if number % each == 0]
    return {*small, *(number // each for each in small)}


def operation_layouts(
    op: proj.EvaluateOp | ops.OperationOp, layouts: Sequence[Layout], where: str
) -> tuple[Layout | None, Layout]:
    """Return the layouts of what an operation reads at each site, where that is one, and of what it gives.

    Raises:
        Mixed: if it reads several samples together.
    """
    kind, fields = (
        (type(op), op.fields())
        if isinstance(op, ops.OperationOp)
        else (operation_of(op.operator.data), op.fields.data)
    )
    match kind.READING:
        case Reading.PRODUCT:  # copies are [.., K, M, N] where the value is [.., K, M]
            found = dot_layout(layouts[0], layouts[1], len(shape_of(op.results[0])), where)
            return found, found
        case Reading.WINDOWS:
            return None, convolution_layout(layouts[0], layouts[1], where)
    read = joined(layouts, where)
    match kind.READING:
        case Reading.AXES:
            axes = fields["axes"]
            assert isinstance(axes, DenseArrayBase)
            return read, _without(read, [int(axis) for axis in axes.get_values()], where)
        case Reading.ENTRY:
            return read, read
        case Reading.SITES:
            return read, _of_sites(op, read, where)


def looked_up(table: Layout, indices: Layout, where: str) -> Layout:
    """Return the layout of a table's rows, looked up by number."""
    if table.rows is not None:
        raise Mixed(f"{where} looks up samples by number")
    return indices


def dot_layout(lhs: Layout, rhs: Layout, rank: int, where: str) -> Layout:
    """Return the layout of ``[.., K, N] @ [.., N, M]``: at most one of K and M may count samples."""
    k, m = rank - 2, rank - 1
    if (lhs.rows is not None and lhs.rows.axis == m) or (rhs.rows is not None and rhs.rows.axis == k):
        raise Mixed(f"{where} sums over samples")
    along_k = _only(lhs, lambda axis: axis == k)
    along_m = _only(rhs, lambda axis: axis == m)
    outer = joined([_only(lhs, lambda axis: axis < k), _only(rhs, lambda axis: axis < k)], where)
    certain = [each for each in (along_k, along_m, outer) if each.rows is not None]
    if len(certain) > 1:
        raise Mixed(f"{where} multiplies samples by samples")
    return certain[0] if certain else Layout(None, along_k.perhaps | along_m.perhaps | outer.perhaps)


def convolution_layout(image: Layout, kernel: Layout, where: str) -> Layout:
    """Return the layout of a convolution: images ``[batch, height, width, N]`` may be of several samples."""
    rows = image.rows
    if (rows is not None and rows.axis > 0) or kernel.rows is not None:
        raise Mixed(f"{where} sums over samples")
    return _only(image, lambda axis: axis == 0)


def _only(layout: Layout, accept: Callable[[int], bool]) -> Layout:
    """Return the layout of those rows along axes that are accepted."""
    rows = layout.rows if layout.rows is not None and accept(layout.rows.axis) else None
    return Layout(rows, frozenset(each for each in layout.perhaps if accept(each.axis)))


def _without(layout: Layout, axes: Sequence[int], where: str) -> Layout:
    """Return the layout after a reduction along axes."""

    def moved(rows: Rows) -> Rows:
        return replace(rows, axis=rows.axis - sum(axis < rows.axis for axis in axes))

    if layout.rows is not None and layout.rows.axis in axes:
        raise Mixed(f"{where} reduces over samples")
    kept = frozenset(moved(rows) for rows in layout.perhaps if rows.axis not in axes)
    return Layout(None if layout.rows is None else moved(layout.rows), kept)


def _of_sites(op: proj.EvaluateOp | ops.OperationOp, layout: Layout, where: str) -> Layout:
    """Return the layout after an operator of the user's own, which reads all entries of a site together."""
    assert isinstance(op, proj.EvaluateOp | ops.ApplyOp)
    if op.signature is None:
        raise Mixed(f"{where} does not say how it reads its inputs; give the shapes of one site")
    sites = len(Signature.parse(op.signature.data).sites([shape_of(each) for each in op.inputs]))
    if layout.rows is not None and layout.rows.axis >= sites:
        raise Mixed(f"{where} reads several samples at one site, {op.signature.data}")
    return _only(layout, lambda axis: axis < sites)


def after_view(op: ViewOp, index: int, rows: Rows, batch: int) -> Rows | None:
    """Return where the samples of a view are if those of one operand are there; None if it mixes them."""
    if isinstance(op, GatherOp):
        return rows if op.operands[index] is op.indices else None
    return op.step(index).rows_after(rows, shape_of(op.operands[index]), batch)


def leaves_samples(kind: str, fields: Mapping[str, Attribute], axis: int) -> bool:
    """Return whether what a set asks of an entry does not depend on others along the axis.

    Of an intersection that is so if it is of all of its sets.
    """
    sets = inner(fields) or [(kind, dict(fields))]
    return all(_leaves(name, each, axis) for name, each in sets)


def _leaves(name: str, fields: Mapping[str, Attribute], axis: int) -> bool:
    axes = fields.get("axes")
    return SETS[name].entrywise or (isinstance(axes, DenseArrayBase) and axis not in axes.get_values())
