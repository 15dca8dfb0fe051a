"""Lower a problem to what its nodes ask of each other in a sweep, outputs first.

A walk goes from each operation to those that it reads, over the graph whose cycles are recurrences: what a
loop carries from step to step. An operation outside of them is asked once, for all steps of its loop; a
recurrence becomes a loop that runs backwards. Both are written in a :class:`Frame`, which knows the values of
the forward pass and takes what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from xdsl.ir import Block, Operation

from pjc.dialects import asking as ask
from pjc.dialects import feas, ops
from pjc.dialects.view import ViewOp
from pjc.passes.analysis.reach import Reach
from pjc.passes.analysis.sample_rows import SampleRows
from pjc.passes.lowering.frame import Frame
from pjc.passes.lowering.holding import slot_name
from pjc.passes.lowering.recurrence import Recurrence
from pjc.passes.solvers import Sweep


@dataclass
class Asking:
    """The sweep of a problem while it is written, and the frame of what stands outside of recurrences."""

    problem: feas.ProblemOp
    solver: Sweep
    rows: SampleRows
    reach: Reach
    frame: Frame = field(init=False)

    def __post_init__(self) -> None:
        self.frame = Frame(Block(), self.solver, self.rows, self.reach)

    def run(self) -> Block | None:
        """Return the body of the sweep; None if the problem requires nothing."""
        required = [node for node in self.problem.nodes() if isinstance(node, ops.LossOp | ops.SetOp)]
        if not required:
            return None
        self.walk()
        return self.frame.block

    def walk(self) -> None:
        """Write what operations ask of each other, outputs first."""
        for group in self.reach.outputs_first():
            if self.reach.recurs(group) or self.asks_step_by_step(group[0]):
                Recurrence(self.frame, group).run()
            else:
                (op,) = group
                self.visit(op)

    def asks_step_by_step(self, op: Operation) -> bool:
        """Whether every step of a product asks the same operand, and what each of them asks is bounded."""
        return (
            isinstance(op, ops.BilinearOp)
            and feas.loop_of(op) is not None
            and any(
                op.is_common(index) and self.frame.limits(op, value)
                for index, value in enumerate(op.operands)
            )
        )

    def visit(self, op: Operation) -> None:
        """Write what an operation outside of recurrences asks of its operands."""
        match op:
            case ops.LossOp():
                self.frame.demand(op)
            case ops.SetOp():
                if not feas.is_of_parameters(op):
                    self.frame.demand(op)
            case ops.ParameterOp():
                total = self.frame.total(op.result)
                if total is not None:
                    self.frame.add(ask.DisplaceOp(slot_name(op), total))
            case ViewOp():
                self.frame.undo(op)
            case ops.OperationOp():
                total = self.frame.total(op.results[0])
                if total is not None:
                    self.frame.respond(op, total)
