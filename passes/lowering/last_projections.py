"""The projections of parameters onto their sets with which a program ends, and which sets have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import numpy as np
from xdsl.dialects.builtin import DenseArrayBase
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj
from pjc.dialects.sets import SETS
from pjc.dialects.steps import Numbers, Step, numbers_along
from pjc.dialects.view import shape_of
from pjc.passes.lowering.holding import slot_name

Ways = Mapping[ops.ParameterOp, Sequence[tuple[Step, ...]]]
"""For each parameter of which entries stand in a value, the steps that lead there."""


def last_projections(nodes: Iterable[ops.NodeOp]) -> list[proj.ConstrainOp]:
    """Return, for each set of parameters among the nodes, its projection before they are handed back."""
    found = []
    for node in nodes:
        if isinstance(node, ops.SetOp) and feas.is_of_parameters(node):
            ways = _ways(node)
            if not SETS[node.kind.data].entrywise:
                _require_projection(node, ways)
            paths = [
                proj.PathAttr(slot_name(source), steps) for source, each in ways.items() for steps in each
            ]
            found.append(proj.ConstrainOp(node.kind.data, node.fields(), paths, node.called))
    return found


def _ways(node: ops.SetOp) -> Ways:
    """Return the ways from the parameters that a set is of to its value."""
    found: dict[ops.ParameterOp, list[tuple[Step, ...]]] = {}
    for source, steps in feas.ways_to(node.value):
        if isinstance(source, ops.ParameterOp):
            found.setdefault(source, []).append(steps)
    return found


def _require_projection(node: ops.SetOp, ways: Ways) -> None:
    """Raise PassFailedException where a projection of a value is none of the parameters that it shows.

    It is none where the value has zeros beside them, which would have to stay, or shows an entry several
    times, unless all copies are moved by the same.
    """
    if list(ways.values()) == [[()]]:
        return
    numbers = _numbered(node, ways)
    names = [source.label.data for source in ways]
    ends = np.cumsum([prod(shape_of(source.result)) for source in ways])
    counts = np.bincount(numbers.ravel(), minlength=int(ends[-1]) + 1)
    if counts[0]:
        found = f"zeros beside '{names[0]}'"
    elif counts.max() > 1 and not _moved_alike(node, numbers):
        found = f"an entry of '{names[np.searchsorted(ends, counts.argmax())]}' several times"
    else:
        return
    raise PassFailedException(
        f"'{node.called}' is a set of what holds {found}, onto which parameters cannot be projected; "
        "require the set of the parameter itself"
    )


def _numbered(node: ops.SetOp, ways: Ways) -> Numbers:
    """Return which entry stands at each place of a set's value; 0 where none does.

    Entries are numbered from 1 on, those of one parameter after those of another.
    """
    numbers, before = np.zeros(shape_of(node.value), np.int64), 0
    for source, each in ways.items():
        shape = shape_of(source.result)
        for steps in each:
            own = numbers_along(steps, shape)
            numbers += np.where(own > 0, own + before, 0)
        before += prod(shape)
    return numbers


def _moved_alike(node: ops.SetOp, numbers: Numbers) -> bool:
    """Whether a set's projection moves all copies of an entry by the same, whatever the entries are.

    The projection of a vector onto a set that is ``alike`` moves equal entries by the same, and two vectors
    of the same entries, in any order, in the same way. So all vectors with an entry have to be such.
    """
    if not SETS[node.kind.data].alike:
        return False
    held = node.fields()["axes"]
    assert isinstance(held, DenseArrayBase)
    axes = [int(axis) for axis in held.get_values()]
    behind = range(numbers.ndim - len(axes), numbers.ndim)
    size = prod(numbers.shape[axis] for axis in axes)
    vectors = np.sort(np.moveaxis(numbers, axes, tuple(behind)).reshape(-1, size), axis=1)
    _, kinds = np.unique(vectors, axis=0, return_inverse=True)
    stands = np.stack([vectors.ravel(), np.repeat(kinds.ravel(), size)], axis=1)
    return len(np.unique(stands, axis=0)) == len(np.unique(numbers))
