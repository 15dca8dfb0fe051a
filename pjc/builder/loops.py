"""Loops: a body that is built once and repeated in the network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from xdsl.ir import Block

from pjc.builder.place import Place
from pjc.builder.values import LoopIndex, Tensor
from pjc.dialects.loops import ForOp, YieldOp
from pjc.dialects.shapes import ShapeError

MAX_ITERATIONS = 2**20

Body: TypeAlias = Callable[..., tuple[Sequence[Tensor], Sequence[Tensor]]]
"""Takes the index and the carried tensors; returns what is carried on, and what is collected."""


class Loops(Place):
    """Builds loops, which the solver projects in all iterations at once."""

    def loop(
        self, name: str, count: int, body: Body, carried: Sequence[Tensor] = (), start: int = 0
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return what a loop carries out of its last iteration, and what all iterations collect.

        ``body(t, *carried)`` is called once. It returns the tensors that the next iteration gets, of the same
        shapes, and those to collect: they come back with a new first axis of ``count``. It reads tensors from
        above as they are, or with ``index(x, t)`` one entry an iteration; of parameters that it declares each
        iteration has its own. ``t`` counts from ``start``.
        """
        if not 1 <= count <= MAX_ITERATIONS or start < 0:
            raise ShapeError(
                f"a loop has 1 to {MAX_ITERATIONS:,} iterations and counts from 0 or more, "
                f"found {count} from {start}"
            )
        block = Block(arg_types=[each.ssa.type for each in carried])
        given = [Tensor(ssa, each.names) for ssa, each in zip(block.args, carried, strict=True)]
        with self.emitter.repeating(block, count):
            ends, collected = body(LoopIndex(name, start, block, count), *given)
        if [each.ssa.type for each in ends] != [each.ssa.type for each in carried]:
            found, wanted = (", ".join(map(str, each)) or "nothing" for each in (ends, carried))
            raise ShapeError(
                f"the loop '{name}' carries {wanted}, but an iteration returns {found}",
                "what a loop carries keeps its shape",
            )
        made = self.repeat(name, block, count, carried, ends, collected)
        finals = [Tensor(ssa, each.names) for ssa, each in zip(made.finals, carried, strict=True)]
        stacked = zip(made.collected, collected, strict=True)
        return finals, [Tensor(ssa, (None, *each.names)) for ssa, each in stacked]

    def repeat(
        self,
        name: str,
        body: Block,
        count: int,
        carried: Sequence[Tensor],
        ends: Sequence[Tensor],
        collected: Sequence[Tensor],
    ) -> ForOp:
        """Append the loop of a finished body."""
        body.add_op(YieldOp([each.ssa for each in ends], [each.ssa for each in collected]))
        made = ForOp(self.label(name), count, [each.ssa for each in carried], body)
        self.emitter.add(made, self.label(name), self.span)
        return made
