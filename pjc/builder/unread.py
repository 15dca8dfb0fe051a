"""Lets loops collect only what is read."""

from __future__ import annotations

from xdsl.ir import Block

from pjc.dialects.loops import ForOp, YieldOp


def drop_unread(block: Block) -> None:
    """Let loops collect only what is read."""
    for op in list(block.ops):
        if isinstance(op, ForOp):
            drop_unread((_rebuilt(op) if any(not value.uses for value in op.collected) else op).body.block)


def _rebuilt(loop: ForOp) -> ForOp:
    """Replace a loop by one that collects what is read."""
    body, end = loop.body.block, loop.yield_op()
    read = [index for index, value in enumerate(loop.collected) if value.uses]
    kept = [end.collected[index] for index in read]
    place = end.location
    carried = list(end.carried)
    end.detach()
    end.erase()
    body.add_op(new_end := YieldOp(carried, kept))
    new_end.location = place
    loop.body.detach_block(body)
    new = ForOp(loop.label.data, loop.iterations, list(loop.inits), body)
    new.location = loop.location
    block = loop.parent_block()
    assert block is not None
    block.insert_op_before(new, loop)
    olds = [*loop.finals, *(loop.collected[index] for index in read)]
    for old, result in zip(olds, new.results, strict=True):
        result.name_hint = old.name_hint
        old.replace_all_uses_with(result)
    loop.detach()
    loop.erase()
    return new
