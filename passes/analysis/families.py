"""Which nodes of a family read an entry: what a gather must know to give every node of a loop its say."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.utils.exceptions import PassFailedException

from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Reads, Step, shapes_along


class FamilyError(PassFailedException):
    """A loop is no family of constraints, by what its iterations read; unrolled, it can be solved."""


def reads(steps: Sequence[Step], shape: Shape, count: int) -> Reads:
    """Return which of ``count`` nodes read the entries of a value, through the steps to their copies.

    The copies' first axis is shared evenly by the nodes, in order; the axis is followed back to the value.

    Raises:
        FamilyError: if a step mixes it with other axes.
    """
    shapes = shapes_along(steps, shape)
    found = Reads(0, tuple(t for t in range(count) for _ in range(shapes[-1][0] // count)))
    for index in reversed(range(len(steps))):
        found = _before(found, steps[index], shapes[index], shapes[index + 1])
        if found.axis is None:
            if found.by_number:
                _check_once(steps[:index])
            break
    return found


def _check_once(steps: Sequence[Step]) -> None:
    """Raise unless steps leave of each entry at most one: the counts of rows are then those of entries."""
    for step in steps:
        if not step.copies_once:
            raise FamilyError(f"in a loop, rows are taken by number behind '{step}'; unroll the loop")


def _before(found: Reads, step: Step, before: Shape, after: Shape) -> Reads:
    """Return the axis and its iterations before a step."""
    assert found.axis is not None
    known = step.read_before(found.axis, found.iterations, before, after)
    if known is None:
        raise FamilyError(f"the iterations of a loop cannot be followed through '{step}'; unroll the loop")
    return known


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
