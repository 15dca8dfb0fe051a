"""Lower a problem to the program of a stream: what every stage does at one tick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj
from pjc.dialects.asking import SweepOp
from pjc.dialects.steps import Rows
from pjc.dialects.streaming import DATA, DEMANDS, VALUES, HandOp, RingOp, StageOp, TakeOp
from pjc.passes.analysis.graph import replace_problems
from pjc.passes.analysis.reach import Reach
from pjc.passes.analysis.sample_rows import SampleRows, samples_in
from pjc.passes.lowering.asking import Asking
from pjc.passes.lowering.declarations import declarations
from pjc.passes.lowering.forward import forward_pass
from pjc.passes.lowering.frame import Asked, Frame
from pjc.passes.lowering.holding import slot_name, slot_place
from pjc.passes.lowering.last_projections import last_projections
from pjc.passes.lowering.stages import Link, Stage, cut
from pjc.passes.solvers import Stream, parse


@dataclass(frozen=True)
class FeasToStreamPass(ModulePass):
    """Lower a problem whose depth is a loop to the program of a stream: what every stage does at one tick.

    The stages are what stands before the loop, each of its iterations, and what stands behind. Each is a
    small network with a forward pass and a sweep of its own. What it takes from the stage before, and is
    asked by the one behind, are rings, as long as what came needs to come back. Nothing in a tick waits for
    another stage. Here a whole batch comes at once; the compiler then puts stages for a piece of it in their
    place, where it has the network for other batches: docs/solvers.md#streams.

    ```
    %h = view.shift %first, %rest {loop = #feas.loop<"i" 8>} : ...
    %rest = op.sum_relu "layer" %h, %b axes [] {loop = #feas.loop<"i" 8>} : ...
    ```
    becomes
    ```
    proj.ring @i "values" 0 to 1 stages 8 length 17 : ...
    proj.ring @i.asked "demands" 1 to 0 stages 8 length 1 : ...
    proj.stage "i" 1 stages 8 {
      proj.forward {
        %h = proj.take @i : ...
        %rest = proj.evaluate "sum_relu" {axes = []} %h, %b of "layer" : ...
        proj.hand %rest to @i : ...
      }
      proj.sweep "stream" {
        %d = proj.take @i.asked : ...
        %r, %s = proj.respond "sum_relu" {axes = []} (%0, %1) demand %d of "layer" weight 0.001 : ...
        proj.hand %r to @i.asked : ...
      }
    }
    ```
    """

    name = "feas-to-stream"

    solver: str = Stream.name
    """The solver: its name, or NAME{number=value}."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        solver = parse(self.solver)
        if not isinstance(solver, Stream):
            raise PassFailedException(f"feas-to-stream lowers to streams, and {solver.name} is none")
        replace_problems(op, lambda problem: stream_program(problem, solver))


def stream_program(problem: feas.ProblemOp, solver: Stream) -> proj.ProgramOp:
    """Return the program of a stream for a problem; one without a stage where it requires nothing.

    Raises:
        PassFailedException: where the problem cannot be cut into stages.
    """
    block = Block()
    block.add_ops(declarations(problem))
    parameters = [node for node in problem.nodes() if isinstance(node, ops.ParameterOp)]
    block.add_ops(proj.VariableOp(slot_name(each), slot_place(each), each.result.type) for each in parameters)
    forward, values = forward_pass(problem)
    program = proj.ProgramOp(problem.sym_name.data, [], problem.dims, Region([block]))
    required = [node for node in problem.nodes() if isinstance(node, ops.LossOp | ops.SetOp)]
    stages, links = cut(problem) if required else ([], [])
    block.add_ops(_rings(problem, stages, links))
    block.add_op(proj.ForwardOp(Region([forward])))
    rows, reach = samples_in(problem, program, values)
    block.add_ops(last_projections(required))
    for stage in stages:
        block.add_op(_lowered(stage, links, solver, _Rows(program, values, rows, stage.origin), reach))
    return program


def _asked(link: str) -> str:
    """Return the name of the ring of what is asked of what a link hands on."""
    return f"{link}.asked"


def _rings(problem: feas.ProblemOp, stages: list[Stage], links: list[Link]) -> list[RingOp]:
    """Return the rings: of what comes, of what each link hands on, and of what is asked for it.

    A stage s that takes a value at tick n needs it again when it is asked about that, 2 (last - s) ticks
    later.
    """
    if not stages:
        return []
    last = stages[-1].first
    found: dict[str, RingOp] = {}
    for stage in stages:
        for op in stage.problem.body.block.ops:
            if isinstance(op, ops.SourceOp) and op.label.data not in {link.label for link in links}:
                back, label = 2 * last - stage.first, op.label.data
                if label not in found or found[label].size < back:
                    found[label] = RingOp(label, DATA, (0, 0), 1, back, op.result.type)
    for link in links:
        length = link.delay + 2 * (last - link.taker)
        ends = link.giver, link.taker
        found[link.label] = RingOp(link.label, VALUES, ends, link.stages, length, link.type)
        asked = _asked(link.label)
        found[asked] = RingOp(asked, DEMANDS, ends[::-1], link.stages, link.delay, link.type)
    return list(found.values())


@dataclass
class _Rows(SampleRows):
    """The rows of a stage's values: those of the values of the ``whole`` problem that they stand for."""

    whole: SampleRows
    origin: Mapping[SSAValue, SSAValue]

    def of(self, value: SSAValue) -> Rows | None:
        return self.whole.of(self.origin[value])


def _lowered(stage: Stage, links: list[Link], solver: Stream, rows: _Rows, whole: Reach) -> StageOp:
    """Return what a stage does at a tick."""
    forward, made = forward_pass(stage.problem)
    for label, value in stage.gives.items():
        forward.add_op(HandOp(made[value], label))
    sweep = _StageAsking(stage, solver, rows, whole).run()
    for block in (forward, sweep):
        _take(block, {link.label for link in links})
    body = Block([proj.ForwardOp(Region([forward])), SweepOp(str(solver), Region([sweep]))])
    return StageOp(stage.label, stage.first, stage.count, Region([body]))


def _take(block: Block, links: set[str]) -> None:
    """Take what is handed to a stage from its ring, where it was written as a datum."""
    for op in list(block.walk()):
        if isinstance(op, proj.DatumOp) and op.label.data in links:
            taken = TakeOp(op.label.data, op.result.type)
            taken.result.name_hint = op.result.name_hint
            assert op.parent is not None
            op.parent.insert_op_before(taken, op)
            op.result.replace_all_uses_with(taken.result)
            op.detach()
            op.erase()


class _StageAsking(Asking):
    """The sweep of a stage: it begins with what is asked of what it handed on."""

    def __init__(self, stage: Stage, solver: Stream, rows: _Rows, whole: Reach) -> None:
        self.problem, self.solver, self.stage = stage.problem, solver, stage
        sources: list[SSAValue] = [
            op.result for op in stage.problem.body.block.ops if isinstance(op, ops.SourceOp)
        ]
        moved = {each for each in sources if stage.origin[each] in whole.moved}
        own = {made for made, each in stage.origin.items() if each in whole.own}
        self.reach = Reach(stage.problem, moved=moved, own=own)
        self.frame = Frame(Block(), solver, rows, self.reach)

    def run(self) -> Block:
        for label, value in self.stage.gives.items():
            taken = self.frame.add(TakeOp(_asked(label), value.type))
            self.frame.take(value, Asked(taken.result))
        self.walk()
        return self.frame.block

    def visit(self, op: Operation) -> None:
        if isinstance(op, ops.InputOp):
            total = self.frame.total(op.result)
            if total is not None:
                self.frame.add(HandOp(total, _asked(op.label.data)))
        else:
            super().visit(op)
