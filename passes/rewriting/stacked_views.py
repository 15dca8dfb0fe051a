"""What reads the entries of a first axis one beside another, as one view of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from xdsl.ir import SSAValue
from xdsl.pattern_rewriter import PatternRewriter, RewritePattern, op_type_rewrite_pattern

from pjc.dialects import view
from pjc.dialects.loops import ForOp
from pjc.dialects.shapes import Shape
from pjc.dialects.view import ViewOp, shape_of


@dataclass(frozen=True)
class Entry:
    """One entry of the first axis of what a loop collects, in whatever shape."""

    whole: SSAValue
    index: int


def entry_of(value: SSAValue) -> Entry | None:
    """Return the entry of what a loop collects that a value is, or None."""
    while isinstance(value.owner, view.ReshapeOp):
        value = value.owner.operand
    cut = value.owner
    if not isinstance(cut, view.SliceOp) or not isinstance(cut.operand.owner, ForOp):
        return None
    first = cut.starts.get_values()[0]
    count, *rest = shape_of(cut.operand)
    if shape_of(cut.result) != (1, *rest) or count < 2:
        return None
    return Entry(cut.operand, first)


class FoldEntries(RewritePattern):
    """Entries of what a loop collects, put one after another, are one view of it.

    ``concat(whole[0], whole[1], ..)`` along an axis is the first axis of ``whole`` moved before that axis,
    and both made one. So a readout of all layers is as few operations as one of a single layer.
    """

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: view.ConcatOp, rewriter: PatternRewriter) -> None:
        axis = op.axis.value.data
        made: list[ViewOp] = []
        parts: list[SSAValue] = []
        for run in _runs(list(op.parts)):
            if len(run) > 1:
                made += _side_by_side(run, axis)
            parts.append(made[-1].results[0] if len(run) > 1 else run[0])
        if not made:
            return
        if len(parts) > 1:
            made.append(view.ConcatOp(parts, axis))
        for each in made:
            each.location = op.location
        rewriter.replace(op, made, [made[-1].results[0]])


def _runs(parts: Sequence[SSAValue]) -> list[list[SSAValue]]:
    """Return the parts in runs of entries of one value that are evenly apart, of equal shapes."""
    found: list[list[SSAValue]] = []
    for part in parts:
        if found and _goes_on(found[-1], part):
            found[-1].append(part)
        else:
            found.append([part])
    return found


def _goes_on(run: Sequence[SSAValue], part: SSAValue) -> bool:
    """Whether a part is the next in a run."""
    entries = [entry_of(each) for each in (*run[-2:], part)]
    places = [entry.index for entry in entries if entry is not None and entry.whole is _whole(entries[0])]
    if len(places) < len(entries) or run[-1].type != part.type:
        return False
    steps = [after - before for before, after in pairwise(places)]
    return steps[0] > 0 and len(set(steps)) == 1


def _whole(entry: Entry | None) -> SSAValue | None:
    return None if entry is None else entry.whole


def _side_by_side(run: Sequence[SSAValue], axis: int) -> list[ViewOp]:
    """Return the views that put a run of entries one after another along an axis of theirs."""
    entries = [entry_of(each) for each in run]
    first, second, last = entries[0], entries[1], entries[-1]
    assert first is not None and second is not None and last is not None
    count, shape = len(run), shape_of(run[0])
    made = taken(first.whole, first.index, last.index, second.index - first.index)
    value = made[-1].results[0] if made else first.whole
    made.append(view.ReshapeOp(value, (count, *shape)))
    order = (*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1))
    made.append(view.TransposeOp(made[-1].results[0], order))
    joined: Shape = (*shape[:axis], count * shape[axis], *shape[axis + 1 :])
    made.append(view.ReshapeOp(made[-1].results[0], joined))
    return made


def taken(whole: SSAValue, first: int, last: int, step: int) -> list[ViewOp]:
    """Return the view of some entries of a first axis; none if they are all."""
    count, *rest = shape_of(whole)
    if (first, last, step) == (0, count - 1, 1):
        return []
    zeros, ones = [0] * len(rest), [1] * len(rest)
    return [view.SliceOp(whole, [first, *zeros], [last + 1, *rest], [step, *ones])]
