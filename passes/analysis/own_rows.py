"""Which values that no data give are each sample's own, since it reads its row of them and no other.

``h @ w`` depends on a parameter alone if h is a constant of ``(batch, 4)``, from which a loop may start; at
later steps of that loop h depends on data. A sweep is to ask the same of all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from xdsl.ir import SSAValue

from pjc.dialects import ops
from pjc.dialects.ops import Reading
from pjc.dialects.signature import Signature
from pjc.dialects.steps import Rows
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.passes.analysis.reach import Reach

Known = Callable[[SSAValue], Rows | None]
"""Where a value that data give has its samples, if it has."""


def own_rows(reach: Reach, batch: int, known: Known) -> dict[SSAValue, Rows]:
    """Return the values of which each sample reads its own row alone, and where, of those that no data give.

    All that might have rows by their shapes are taken to, and what a reader contradicts is struck out until
    nothing changes: so it is found around loops too.
    """
    listed = [op for group in reach.outputs_first() for op in reversed(group)]
    found: dict[SSAValue, set[Rows]] = {
        value: _possible(value, batch)
        for op in listed
        if isinstance(op, ops.OperationOp | ViewOp)
        for value in op.results
        if value in reach.moved and value not in reach.given
    }

    def rows_of(value: SSAValue) -> set[Rows]:
        certain = known(value) if value in reach.given else None
        return found.get(value, set()) if certain is None else {certain}

    changed = True
    while changed:
        changed = False
        for value, possible in found.items():
            kept = {rows for rows in possible if _is_read_alone(value, rows, batch, known, rows_of)}
            changed |= kept != possible
            found[value] = kept
    return {value: min(rows, key=lambda each: each.axis) for value, rows in found.items() if rows}


def _possible(value: SSAValue, batch: int) -> set[Rows]:
    """Return where the samples of a value could be by its shape: side by side, or each in one piece."""
    return {
        Rows(axis, inner)
        for axis, size in enumerate(shape_of(value))
        if size and size % batch == 0
        for inner in (1, size // batch)
    }


def _is_read_alone(
    value: SSAValue, rows: Rows, batch: int, known: Known, rows_of: Callable[[SSAValue], set[Rows]]
) -> bool:
    """Whether each reader of a value reads, for a sample, the rows of that sample and no others."""
    for use in value.uses:
        reader = use.operation
        match reader:
            case ops.OutputOp():
                continue
            case ops.LossOp():
                if use.index or known(reader.target) != rows:
                    return False
            case ops.OperationOp() | ViewOp():
                after = _after(reader, use.index, rows, batch)
                if after is None or after not in rows_of(reader.results[0]):
                    return False
            case _:
                return False
    return True


def _after(reader: ops.OperationOp | ViewOp, index: int, rows: Rows, batch: int) -> Rows | None:
    """Return where the samples of a result are if those of one operand are there; None if it mixes them."""
    if isinstance(reader, GatherOp):
        return rows if index else None
    if isinstance(reader, ViewOp):
        return reader.step(index).rows_after(rows, shape_of(reader.operands[index]), batch)
    rank, axis = len(shape_of(reader.results[0])), rows.axis
    match reader:
        case ops.DotOp():
            return None if axis == (rank - 2 if index else rank - 1) else rows
        case ops.ConvolutionOp():
            return None if index or axis else rows
        case ops.ReductionOp():
            axes = reader.axes.get_values()
            return None if axis in axes else replace(rows, axis=axis - sum(each < axis for each in axes))
        case ops.ApplyOp():
            sites = Signature.parse(reader.signature.data).sites([shape_of(each) for each in reader.inputs])
            return rows if axis < len(sites) else None
    return rows if reader.READING is Reading.ENTRY else None
