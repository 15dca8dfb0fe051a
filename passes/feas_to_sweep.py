"""Lower a problem to the program of a sweep."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Region
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj
from pjc.dialects.asking import SweepOp
from pjc.passes.analysis.graph import replace_problems
from pjc.passes.analysis.sample_rows import samples_in
from pjc.passes.lowering.asking import Asking
from pjc.passes.lowering.declarations import declarations
from pjc.passes.lowering.forward import forward_pass
from pjc.passes.lowering.holding import slot_name, slot_place
from pjc.passes.lowering.last_projections import last_projections
from pjc.passes.solvers import Sweep, parse


@dataclass(frozen=True)
class FeasToSweepPass(ModulePass):
    """Lower a problem to the program of a sweep: what each node asks of its inputs, outputs first.

    The forward pass leaves a state in which all copies agree. Then each loss says what it demands of its
    value; each node, from outputs to inputs, how its inputs are to move so that its value moves as demanded;
    views are undone, and what the readers of a value ask of it is added up. What arrives at a parameter is
    its displacement. A recurrence runs backwards, one step after another, and adds up what the samples of a
    step ask of what they share; all else in a loop is asked of all steps at once.

    ```
    %h = op.sum_relu "h" %z, %b axes [] : ...
    op.squared_error "loss" %h, %y strength 1.0 : ...
    ```
    becomes
    ```
    %0 = proj.value "h" : ...
    %1 = proj.datum "y" : ...
    %2 = proj.demand "squared_error" {strength = 1.0} %0 given %1 of "loss" samples [0, 1] : ...
    %3 = proj.value "z" : ...
    %4, %5 = proj.respond "sum_relu" {axes = []} (%3, %b) demand %2 of "h" weight 0.001 : ...
    ```
    """

    name = "feas-to-sweep"

    solver: str = Sweep.name
    """The solver: its name, or NAME{number=value}."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        solver = parse(self.solver)
        if not isinstance(solver, Sweep):
            raise PassFailedException(f"feas-to-sweep lowers to sweeps, and {solver.name} is none")
        replace_problems(op, lambda problem: sweep_program(problem, solver))


def sweep_program(problem: feas.ProblemOp, solver: Sweep) -> proj.ProgramOp:
    """Return the program of a sweep for a problem."""
    block = Block()
    block.add_ops(declarations(problem))
    parameters = [node for node in problem.nodes() if isinstance(node, ops.ParameterOp)]
    block.add_ops(proj.VariableOp(slot_name(each), slot_place(each), each.result.type) for each in parameters)
    forward, values = forward_pass(problem)
    block.add_op(proj.ForwardOp(Region([forward])))
    program = proj.ProgramOp(problem.sym_name.data, [], problem.dims, Region([block]))
    asking = Asking(problem, solver, *samples_in(problem, program, values))
    block.add_ops(last_projections(problem.nodes()))
    body = asking.run()
    if body is not None:
        block.add_op(SweepOp(str(solver), Region([body])))
    return program
