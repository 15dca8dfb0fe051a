"""The solvers, each written as its formula: one iteration in terms of projections onto parts.

With ``P_X`` the projection onto part X and ``R_X = 2 P_X - I``; docs/design.md#meaning says what a projection
onto a part is, Bergmeister et al., arXiv 2506.05878, where the formulas come from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from xdsl.ir import Block, SSAValue

from pjc.dialects import proj


@dataclass(frozen=True)
class Settings:
    """The numbers that solvers take: dr's relaxation, rrr's step b, dm's b."""

    relaxation: float = 0.5
    step: float = 1.0
    beta: float = 1.0


@dataclass
class Iteration:
    """Builds the body of an iteration: ``P`` projects, ``R`` reflects, ``combine`` adds."""

    parts: list[str]
    settings: Settings
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


A, B = 0, 1
Result = tuple[SSAValue, SSAValue, SSAValue]
"""The state after the iteration, and the two states whose distance is the gap."""


def ap(it: Iteration) -> Result:
    """Alternating projections: ``x := P_B(P_A x)``; the gap is ``|P_B P_A x - P_A x|``."""
    a = it.P(A, it.x)
    b = it.P(B, a)
    return b, b, a


def ar(it: Iteration) -> Result:
    """Alternating reflections: ``x := R_B(R_A x)``; the gap is ``|P_B R_A x - P_A x|``."""
    a = it.P(A, it.x)
    reflected = it.combine((2.0, a), (-1.0, it.x))
    b = it.P(B, reflected)
    return it.combine((2.0, b), (-1.0, reflected)), b, a


def dr(it: Iteration) -> Result:
    """Douglas-Rachford with relaxation l: ``x := (1 - l) x + l R_B(R_A x)``; gap as for ar."""
    reflected, b, a = ar(it)
    relaxation = it.settings.relaxation
    return it.combine((relaxation, reflected), (1 - relaxation, it.x)), b, a


def dr_halfway(it: Iteration) -> Result:
    """Douglas-Rachford at relaxation 1/2, with halfway forms: rrr with step 1.

    ``x := P_B(2 P_A x - x) + x - P_A x``. P_B is given ``P_A x``, and leaves in its result the factors of the
    next x, which therefore comes first in the sum.
    """
    a = it.P(A, it.x)
    b = it.P(B, it.combine((2.0, a), (-1.0, it.x)), given=a)
    return it.combine((1.0, b), (1.0, it.x), (-1.0, a)), b, a


def rrr(it: Iteration) -> Result:
    """Relaxed reflect-reflect with step b: ``x := x + b (P_B(2 P_A x - x) - P_A x)``; gap as for ar."""
    step = it.settings.step
    a = it.P(A, it.x)
    b = it.P(B, it.combine((2.0, a), (-1.0, it.x)))
    return it.combine((step, b), (-step, a), (1.0, it.x)), b, a


def dm(it: Iteration) -> Result:
    """Difference map: ``x := x + b (P_A((1 + 1/b) P_B x - x/b) - P_B((1 - 1/b) P_A x + x/b))``.

    The gap is the distance of the two projections in the difference.
    """
    b = it.settings.beta
    one = it.P(A, it.combine((1 + 1 / b, it.P(B, it.x)), (-1 / b, it.x)))
    other = it.P(B, it.combine((1 - 1 / b, it.P(A, it.x)), (1 / b, it.x)))
    return it.combine((1.0, it.x), (b, one), (-b, other)), one, other


def cp(it: Iteration) -> Result:
    """Cyclic projections: project the levels in turn, outputs first; the gap is the move of a cycle."""
    x = it.x
    for level in range(len(it.parts)):
        x = it.P(level, x)
    return x, x, it.x


def cdr(it: Iteration) -> Result:
    """Cyclic Douglas-Rachford: over levels i, ``x := (x + R_{i+1}(R_i x)) / 2``; gap as for cp."""
    x = it.x
    for level in range(len(it.parts)):
        x = it.combine((0.5, it.R(level + 1, it.R(level, x))), (0.5, x))
    return x, x, it.x


SOLVERS: dict[str, Callable[[Iteration], Result]] = {
    "ap": ap,
    "ar": ar,
    "dr": dr,
    "rrr": rrr,
    "dm": dm,
    "cp": cp,
    "cdr": cdr,
}

CYCLIC = ("cp", "cdr")
"""The solvers that go through levels; the others need a bipartition."""
