"""What a program declares beside what it computes: its inputs and targets."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from pjc.dialects import feas, ops, proj
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.passes.analysis.units import output_of


def declarations(problem: feas.ProblemOp) -> list[Operation]:
    """Return a declaration for each input and target, in the order of the text.

    An input that stands twice in the problem is declared once; one that is a target too is an input.
    """
    found: dict[str, Operation] = {}
    for op in problem.body.block.ops:
        if not isinstance(op, ops.InputOp | ops.IndexOp | ops.TargetOp) or op.label.data in found:
            continue
        label, kind = op.label.data, op.result.type
        if isinstance(op, ops.TargetOp):
            found[label] = proj.TargetOp(label, op.classes, _threshold(op), output_of(op), kind)
        else:
            rows = min(_tables_of(op.result), default=None) if isinstance(op, ops.IndexOp) else None
            found[label] = proj.InputOp(label, rows, kind)
    return list(found.values())


def _threshold(op: ops.TargetOp) -> float | None:
    """Return what tells ones from zeros in the outputs for a target of several labels, if it is one."""
    for use in op.result.uses:
        if isinstance(use.operation, ops.MultiLabelOp):
            return use.operation.threshold
    return None


def _tables_of(indices: SSAValue) -> list[int]:
    """Return how many rows the tables have in which indices are looked up, through views."""
    found: list[int] = []
    for use in indices.uses:
        reader = use.operation
        if isinstance(reader, GatherOp) and reader.indices is indices:
            found.append(shape_of(reader.table)[0])
        elif isinstance(reader, ViewOp):
            found += _tables_of(reader.results[0])
    return found
