"""Choose how the copies of each dot product are represented."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas
from pjc.dialects.view import shape_of
from pjc.passes.graph import problems

ITEM_BYTES = 4


@dataclass(frozen=True)
class ChooseRepresentationPass(ModulePass):
    """Choose how the copies of each dot product are represented: exact, shared or factored.

    Held exactly, the copies of a K x N by N x M dot are 2 K M N numbers. In alternating and cyclic
    projections all copies of an input agree before they are projected, so that none need be made (shared,
    exact). In Douglas-Rachford at relaxation 1/2, which is rrr with step 1, they differ by rank-one terms
    (factored, to second order). Elsewhere, and where one node feeds both operands of a dot, they are held
    exactly. A choice that is written in the IR stays.

    ```
    %z = feas.dot "z" %x, %w part "B" : ...   ->   %z = feas.dot "z" %x, %w part "B" copies "shared" : ...
    ```
    """

    name = "feas-choose-representation"

    solver: str = "dr"
    """One of ap, ar, dr, rrr, dm, cp, cdr."""
    relaxation: float = 0.5
    """dr's relaxation."""
    step: float = 1.0
    """rrr's step."""
    copies: str = "auto"
    """auto, or the one form to use wherever it applies: exact, shared or factored."""
    approximate: bool = True
    """Whether a form may drop terms of third order."""
    cheap_bytes: int = 2**23
    """Copies of at most so many bytes are held exactly rather than factored."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if self.copies not in ("auto", *feas.DotOp.FORMS):
            raise PassFailedException(
                f"copies are auto, {', '.join(feas.DotOp.FORMS)}, found '{self.copies}'"
            )
        for problem in problems(op):
            for node in problem.nodes():
                if isinstance(node, feas.DotOp) and node.part is not None and node.copies is None:
                    node.copies = StringAttr(self.choose(node).form)

    def choose(self, node: feas.DotOp) -> Choice:
        """Return the form for one dot, and why."""
        form, reason = self.fitting(node)
        if self.copies not in ("auto", form) and form != "exact":
            form, reason = "exact", f"--copies {self.copies} was asked for"
        return Choice(form, reason)

    def fitting(self, node: feas.DotOp) -> tuple[str, str]:
        """Return the most compressed form that fits the solver and the dot, and why."""
        if set(feas.sources(node.lhs)) & set(feas.sources(node.rhs)):
            return "exact", "one node feeds both operands"
        if self.solver in ("ap", "cp"):
            return "shared", f"in {self.solver} all copies agree before they are projected"
        halfway = (self.solver == "dr" and self.relaxation == 0.5) or (
            self.solver == "rrr" and self.step == 1.0
        )
        if not halfway:
            return "exact", "no compressed form is known for this solver and its numbers"
        if not self.approximate:
            return "exact", "the factored form drops terms of third order"
        if node.part is not None and node.part.data != "B":
            return "exact", "the factored form is for part B"
        if held(node, "exact") * ITEM_BYTES <= self.cheap_bytes and self.copies == "auto":
            return "exact", f"its copies fit in {self.cheap_bytes >> 20} MiB"
        return "factored", "in Douglas-Rachford the copies differ by rank-one terms"


@dataclass(frozen=True)
class Choice:
    """A form and the reason for it."""

    form: str
    reason: str


def held(node: feas.DotOp, form: str) -> int:
    """Return how many numbers the form holds between iterations for a dot."""
    lhs, rhs, result = (prod(shape_of(value)) for value in (node.lhs, node.rhs, node.result))
    return {
        "exact": 2 * prod(node.copies_shape()),
        "shared": lhs + rhs,
        "factored": 3 * (lhs + rhs) + 3 * result,
    }[form]
