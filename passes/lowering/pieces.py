"""Send the batches of a stream through it in pieces, one at a tick, so that a stage answers few steps late.

A piece is on its way for as many ticks as there are stages, there and back. With one step for all pieces of
a batch those are fewer steps, by their number; and so much sooner is a stream drained.
"""

from __future__ import annotations

from pjc.dialects import proj
from pjc.dialects.asking import DemandInSetOp, DemandOp
from pjc.dialects.streaming import RingOp, StageOp
from pjc.passes.analysis.rows import Mixed
from pjc.passes.analysis.samples import Samples, different_sizes, share_places

LATE = 4
"""How many steps a stream answers late at the least where its depth alone decides: with fewer, larger pieces
more, with more, smaller ones the stages would have less to do at a tick."""


def piece_counts(program: proj.ProgramOp) -> list[int]:
    """Return how many pieces the batches of a stream may go through it in, the best first.

    That is so many that a batch that came is answered for about ``LATE`` batches later; fewer are later. They
    divide the batch into pieces of two samples or more, so that an axis of one entry is none of samples. None
    where something reads two samples at once.
    """
    stages, batch = program.stage_ops(), program.batch
    if not stages or batch is None or not _is_by_sample(program, batch):
        return []
    return [count for count in range(2 * stages[-1].start // LATE, 1, -1) if divides(count, batch)]


def divides(count: int, batch: int) -> bool:
    """Whether so many pieces have each as many samples of a batch, two at least where there are several."""
    return count == 1 or (1 < count <= batch // 2 and batch % count == 0)


def why_not_in(program: proj.ProgramOp, count: int) -> str:
    """Say why the batches of a program cannot go through it in so many pieces, where they cannot."""
    batch = program.batch
    if not program.stage_ops():
        return "it is not trained by a stream"
    if batch is None or not divides(count, batch):
        return f"a batch of {batch} has no {count} pieces of two samples or more, all of the same size"
    if not _is_by_sample(program, batch):
        return "something in it reads several samples at once"
    return "what it does with such a piece differs in more than sizes from what it does with a batch"


def whole_batches(program: proj.ProgramOp) -> str | None:
    """Return what to expect of a stream that batches go through whole; None of other programs."""
    stages = program.stage_ops()
    late = 2 * stages[-1].start if stages else 0
    if program.pieces > 1 or late < 2 * LATE:
        return None
    return (
        f"batches go through this stream whole, so that its first layer answers {late} steps late: expect "
        "little; where each operation reads one sample at a time, and no size stands for that of the batch, "
        "a batch whose size has divisors goes through in pieces"
    )


def put_pieces(whole: proj.ProgramOp, part: proj.ProgramOp) -> bool:
    """Give a stream the rings and stages of a piece of its batch; False if they differ in more than sizes.

    ``part`` is the program for a piece of the batch; it is left without them.
    """
    assert whole.batch is not None and part.batch is not None
    count = whole.batch // part.batch
    if different_sizes(whole, part, count) is not None or not _come_in(whole, part, count):
        return False
    share_places(whole, part)
    for one, other in zip(_cut(whole), _cut(part), strict=True):
        other.detach()
        whole.body.block.insert_op_before(other, one)
        one.detach()
        one.erase()
    return True


def _come_in(whole: proj.ProgramOp, part: proj.ProgramOp, count: int) -> bool:
    """Whether what a program takes is made of so many pieces, one after another, or the same for all."""
    rings = part.rings()
    found = {op.label.data: op for op in whole.sources() if op.label.data in rings}
    return all(proj.pieces_in(op, rings[label]) in (1, count) for label, op in found.items())


def _cut(program: proj.ProgramOp) -> list[RingOp | StageOp]:
    return [op for op in program.body.block.ops if isinstance(op, RingOp | StageOp)]


def _is_by_sample(program: proj.ProgramOp, batch: int) -> bool:
    """Whether no operation reads several samples at once, and all that is required is of samples."""
    try:
        Samples(program, batch)
    except Mixed:
        return False
    return all(op.rows is not None for op in program.walk() if isinstance(op, DemandOp | DemandInSetOp))
