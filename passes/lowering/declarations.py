"""What a program declares beside what it computes: its inputs and targets, and the sets of its parameters."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj
from pjc.dialects.sets import SETS
from pjc.dialects.shapes import Shape
from pjc.dialects.steps import (
    Broadcast,
    Pad,
    Patches,
    Place,
    Reshape,
    Shift,
    Slice,
    Step,
    Transpose,
    shapes_along,
)
from pjc.dialects.view import GatherOp, ViewOp, shape_of
from pjc.passes.analysis.units import output_of
from pjc.passes.lowering.holding import slot_name


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


def last_projections(nodes: Iterable[ops.NodeOp]) -> list[proj.ConstrainOp]:
    """Return, for each set of parameters among the nodes, its projection before they are handed back."""
    found = []
    for node in nodes:
        if isinstance(node, ops.SetOp) and feas.is_of_parameters(node):
            ways = _ways(node)
            if not SETS[node.kind.data].entrywise:
                _require_each_once(node, ways)
            paths = [
                proj.PathAttr(slot_name(source), steps) for source, each in ways.items() for steps in each
            ]
            found.append(proj.ConstrainOp(node.kind.data, node.fields(), paths, node.called))
    return found


def _ways(node: ops.SetOp) -> dict[ops.ParameterOp, list[tuple[Step, ...]]]:
    """Return the ways from the parameters that a set is of to its value."""
    found: dict[ops.ParameterOp, list[tuple[Step, ...]]] = {}
    for source, steps in feas.ways_to(node.value):
        if isinstance(source, ops.ParameterOp):
            found.setdefault(source, []).append(steps)
    return found


def _require_each_once(node: ops.SetOp, ways: dict[ops.ParameterOp, list[tuple[Step, ...]]]) -> None:
    """Raise PassFailedException where a projection of a value is none of parameters.

    It is none where the value has zeros beside them, which stay, or shows an entry several times; but where
    it repeats all entries alike, their copies are moved alike by some sets.
    """
    for source, each in ways.items():
        found, shape = None, shape_of(source.result)
        if any(isinstance(step, Pad | Shift) for steps in each for step in steps):
            found = f"zeros beside '{source.label.data}'"
        elif (
            any(isinstance(step, Patches) for steps in each for step in steps)
            or (not SETS[node.kind.data].alike and any(_repeats(shape, steps) for steps in each))
            or (len(each) > 1 and _overlap(shape, each))
        ):
            found = f"an entry of '{source.label.data}' several times"
        if found is not None:
            raise PassFailedException(
                f"'{node.called}' is a set of what holds {found}, onto which parameters cannot be projected; "
                "require the set of the parameter itself"
            )


def _repeats(shape: Shape, steps: tuple[Step, ...]) -> bool:
    """Whether a way repeats entries of a tensor along an axis."""
    shapes = shapes_along(steps, shape)
    return any(
        isinstance(step, Broadcast) and prod(after) > prod(before)
        for step, before, after in zip(steps, shapes[:-1], shapes[1:], strict=True)
    )


def _overlap(shape: Shape, ways: list[tuple[Step, ...]]) -> bool:
    """Whether several ways show an entry of a tensor both."""
    shown = np.zeros(prod(shape) + 1, np.int64)  # the last is of what others fill
    for steps in ways:
        numbers = np.arange(prod(shape)).reshape(shape)
        for step in steps:
            numbers = _numbers(step, numbers)
        shown[np.unique(numbers)] += 1
    return bool((shown[:-1] > 1).any())


def _numbers(step: Step, numbers: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers of entries after a step, -1 for those of others."""
    match step:
        case Reshape():
            return numbers.reshape(step.shape)
        case Transpose():
            return numbers.transpose(step.permutation)
        case Slice():
            return numbers[tuple(map(slice, step.starts, step.limits, step.strides))]
        case Broadcast():
            kept = [
                numbers.shape[step.dims.index(at)] if at in step.dims else 1 for at in range(len(step.shape))
            ]
            return np.broadcast_to(numbers.reshape(kept), step.shape)
    assert isinstance(step, Place), f"'{step}' shows an entry several times"
    whole = np.full(step.result_shape(numbers.shape), -1)
    at = [slice(None)] * whole.ndim
    at[step.axis] = slice(step.offset, step.offset + numbers.shape[step.axis])
    whole[tuple(at)] = numbers
    return whole
