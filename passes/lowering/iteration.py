"""Builds the body of a solver's iteration, in terms that its formula is written in."""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import Block, SSAValue

from pjc.dialects import proj


@dataclass
class Iteration:
    """The body of an iteration: ``P`` projects, ``R`` reflects, ``combine`` adds."""

    parts: list[str]
    halfway: bool = False
    """Whether copies are held in forms that go from one iteration to the next in one step."""
    block: Block = field(default_factory=lambda: Block(arg_types=[proj.StateType()]))

    @property
    def x(self) -> SSAValue:
        """The state before the iteration."""
        return self.block.args[0]

    def P(self, part: int, x: SSAValue, given: SSAValue | None = None) -> SSAValue:
        """Project onto a part; ``given`` is what halfway forms need to know beside x."""
        return self._add(proj.OntoOp(self.parts[part % len(self.parts)], x, given))

    def R(self, part: int, x: SSAValue) -> SSAValue:
        """Reflect at a part: ``2 P x - x``."""
        return self.combine((2.0, self.P(part, x)), (-1.0, x))

    def combine(self, *terms: tuple[float, SSAValue]) -> SSAValue:
        """Return the sum of weight times state."""
        return self._add(proj.CombineOp([w for w, _ in terms], [state for _, state in terms]))

    def _add(self, op: proj.OntoOp | proj.CombineOp) -> SSAValue:
        self.block.add_op(op)
        return op.result
