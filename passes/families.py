"""Which nodes of a family read an entry: what a gather must know to give every node of a loop its say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from xdsl.utils.exceptions import PassFailedException

from pjc.dialects.shapes import Shape
from pjc.dialects.view import StepAttr


class FamilyError(PassFailedException):
    """A loop is no family of constraints, by what its iterations read; unrolled, it can be solved."""


@dataclass(frozen=True)
class Reads:
    """Entry ``i`` of an axis is read by the node of iteration ``iterations[i]``; -1 is none.

    ``axis`` is None where every node of the family reads every entry; or, ``by_number``, where each reads
    rows that only a batch tells.
    """

    axis: int | None
    iterations: tuple[int, ...] = ()
    by_number: bool = False

    def overlaps(self, other: Reads) -> bool:
        """Whether an entry is, or might be, read by one node in both ways."""
        if self.axis is None or other.axis != self.axis:
            return True
        return any(a == b >= 0 for a, b in zip(self.iterations, other.iterations, strict=True))


def reads(steps: Sequence[StepAttr], shape: Shape, count: int) -> Reads:
    """Return which of ``count`` nodes read the entries of a value, through the steps to their copies.

    The copies' first axis is shared evenly by the nodes, in order; the axis is followed back to the value.

    Raises:
        FamilyError: if a step mixes it with other axes.
    """
    shapes = [shape]
    for step in steps:
        shapes.append(step.result_shape(shapes[-1]))
    found = Reads(0, tuple(t for t in range(count) for _ in range(shapes[-1][0] // count)))
    for index in reversed(range(len(steps))):
        found = _before(found, steps[index], shapes[index], shapes[index + 1])
        if found.axis is None:
            if found.by_number:
                _check_once(steps[:index])
            break
    return found


def _check_once(steps: Sequence[StepAttr]) -> None:
    """Raise unless steps leave of each entry at most one: the counts of rows are then those of entries."""
    for step in steps:
        if step.kind.data in ("broadcast", "patches", "gather"):
            raise FamilyError(f"in a loop, rows are taken by number behind '{step}'; unroll the loop")


def _before(found: Reads, step: StepAttr, before: Shape, after: Shape) -> Reads:
    """Return the axis and its iterations before a step."""
    axis, iterations = found.axis, found.iterations
    assert axis is not None
    match step.kind.data, step.lists():
        case "reshape", _:
            return _before_reshape(found, step, before, after)
        case "transpose", (permutation,):
            return replace(found, axis=permutation[axis])
        case "broadcast", (_, dims):
            if axis in dims and before[dims.index(axis)] == after[axis]:
                return replace(found, axis=dims.index(axis))
            return Reads(None)
        case "slice", (starts, _, strides):
            spread = [-1] * before[axis]
            for index, iteration in enumerate(iterations):
                spread[starts[axis] + index * strides[axis]] = iteration
            return Reads(axis, tuple(spread))
        case "pad", (low, _):
            return Reads(axis, iterations[low[axis] :][: before[axis]])
        case "place", ((placed, offset, _),):
            return Reads(axis, iterations[offset:][: before[axis]]) if placed == axis else found
        case "patches", (axes, _, _) if axis < min(axes):
            return found
        case "gather", (numbers,):
            if axis < len(numbers):
                return Reads(None, by_number=True)
            return replace(found, axis=axis - len(numbers) + 1)
        case "shift", ((by,),):
            return Reads(axis, (*iterations[by:], *[-1] * by)) if axis == 0 else found
    raise FamilyError(f"the iterations of a loop cannot be followed through '{step}'; unroll the loop")


def _before_reshape(found: Reads, step: StepAttr, before: Shape, after: Shape) -> Reads:
    """Return the axis of the shape before that starts where the axis after it starts."""
    assert found.axis is not None
    leading, inner = prod(after[: found.axis]), prod(after[found.axis + 1 :])
    for axis in range(len(before)):
        mine = prod(before[axis + 1 :])
        repeats, rest = divmod(before[axis], len(found.iterations))
        if inner == mine and not rest and prod(before[:axis]) * repeats == leading:
            return Reads(axis, found.iterations * repeats)
        if prod(before[:axis]) != leading or before[axis] == 1 < len(found.iterations):
            continue
        if inner % mine == 0:
            ratio = inner // mine
            return Reads(axis, tuple(t for t in found.iterations for _ in range(ratio)))
        groups = [found.iterations[i :: mine // inner] for i in range(mine // inner)]
        if mine % inner == 0 and all(group == groups[0] for group in groups):
            return Reads(axis, groups[0])
    raise FamilyError(f"the iterations of a loop cannot be followed through '{step}'; unroll the loop")


def grouped(label: str, found: Sequence[Reads]) -> list[int]:
    """Return a group for each way in which a family reads a value: one for those that always coincide.

    Ways by number are one group: their copies are counted together when the program runs.

    Raises:
        FamilyError: if ways coincide for some entries only.
    """
    distinct = list(dict.fromkeys(found))
    for index, one in enumerate(distinct):
        if any(one.overlaps(other) for other in distinct[:index]):
            raise FamilyError(
                f"in a loop, '{label}' reads one value in ways that overlap in part; unroll the loop"
            )
    return [distinct.index(each) for each in found]
