"""Lower a partitioned problem to the program of a solver."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Block, Operation, Region
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, proj
from pjc.dialects.forms import HALFWAY
from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Reads, Step
from pjc.dialects.view import shape_of
from pjc.passes.analysis.families import grouped, reads
from pjc.passes.analysis.graph import replace_problems
from pjc.passes.lowering.compressed import (
    compressed_projection,
    factor_name,
    factor_place,
    factor_types,
    first_factors,
    given_value,
    is_told,
    told_name,
)
from pjc.passes.lowering.declarations import declarations
from pjc.passes.lowering.forward import forward_pass
from pjc.passes.lowering.holding import (
    form_of,
    held_by_all,
    held_name,
    held_operands,
    held_place,
    held_type,
    slot_name,
    slot_place,
    spread_steps,
    writes_of,
)
from pjc.passes.lowering.iteration import Iteration
from pjc.passes.lowering.last_projections import last_projections
from pjc.passes.solvers import DEFAULT_ITERATING, Iterating, Solver, parse


@dataclass(frozen=True)
class FeasToProjPass(ModulePass):
    """Lower a partitioned problem to the program of a solver, in the forms of copies that were chosen.

    Each constraint gets a variable of copies for each input, each parameter a slot. A part gathers, for
    every node in it, what the readers of its value agree on; projects the node's copies and that value;
    and writes the result back. The solver's iteration stands beside the parts, as its formula.

    ```
    %h = op.sum_relu "h" %z axes [] part "A" : ...
    ```
    becomes, in part A,
    ```
    %0 = proj.read @h.0 : tensor<4x3xf32>
    %1 = proj.gather "h" from [#proj.path<@out.0 via broadcast [4, 2, 3] [0, 2]>] : tensor<4x3xf32>
    %2, %3 = proj.project "sum_relu" {axes = array<i64>} (%0) to %1 of "h" : ...
    proj.write %2 to [#proj.path<@h.0>] : tensor<4x3xf32>
    proj.write %3 to [#proj.path<@out.0 via broadcast [4, 2, 3] [0, 2]>] : tensor<4x3xf32>
    ```
    """

    name = "feas-to-proj"

    solver: str = DEFAULT_ITERATING
    """The solver: its name, or NAME{number=value}."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        solver = parse(self.solver)
        if not isinstance(solver, Iterating):
            raise PassFailedException(
                f"{self.name} lowers to solvers that iterate, and {solver.name} does not"
            )
        replace_problems(op, lambda problem: _Lowering(problem).program(solver))


def iterate_op(solver: Iterating, parts: list[str], halfway: bool) -> proj.IterateOp:
    """Return the iteration of a solver."""
    iteration = Iteration(parts, halfway)
    iteration.block.add_op(proj.YieldOp(*solver.iteration(iteration), solver.metric_rate()))
    return proj.IterateOp(str(solver), Region([iteration.block]))


def check_families(problem: feas.ProblemOp) -> None:
    """Raise FamilyError if what the iterations of a loop read makes them no family of constraints."""
    lowering = _Lowering(problem)
    for node in lowering.trained():
        if node.results:
            lowering.paths(node)


@dataclass
class _Lowering:
    problem: feas.ProblemOp
    order: dict[Operation, int] = field(init=False)

    def __post_init__(self) -> None:
        self.order = {op: index for index, op in enumerate(self.problem.body.block.ops)}

    def program(self, solver: Iterating) -> proj.ProgramOp:
        names = list(self.problem.part_names())
        trains = names or any(isinstance(n, ops.LossOp | ops.SetOp) for n in self.problem.nodes())
        if trains and not solver.takes(names):
            found = f"the parts {', '.join(names)}" if names else "no parts"
            passes = ", ".join(solver.partition)
            raise PassFailedException(
                f"{solver.name} needs {solver.invariant}, and the problem has {found}; run {passes} first"
            )
        self.check_forms(solver)
        block = Block()
        block.add_ops(declarations(self.problem))
        for node in self.trained():
            block.add_ops(self.variables(node))
        block.add_op(proj.ForwardOp(Region([self.forward()])))
        for name in names:
            block.add_op(proj.PartOp(name, Region([self.part(name)])))
        block.add_ops(last_projections(self.trained()))
        if names:
            halfway = any(form_of(node) in HALFWAY for node in self.trained())
            block.add_op(iterate_op(solver, names, halfway))
        return proj.ProgramOp(self.problem.sym_name.data, names, self.problem.dims, Region([block]))

    def check_forms(self, solver: Solver) -> None:
        """Raise PassFailedException if copies are held in a form that the solver does not allow."""
        allowed = solver.copies()
        for node in self.trained():
            if (form := form_of(node)) not in ("exact", *allowed.forms):
                raise PassFailedException(
                    f"the copies of '{node.called}' are {form}, which {solver} does not allow: "
                    f"{allowed.reason}"
                )

    def trained(self) -> list[ops.NodeOp]:
        """Return the nodes that have a part."""
        return [node for node in self.problem.nodes() if node.part is not None]

    def paths(self, node: ops.NodeOp) -> list[proj.PathAttr]:
        """Return the ways from the node's value to all that is held of it, in the order of the text."""
        readers = [each for each in feas.readers(node) if each[0].part is not None]
        readers = [(op, index, steps) for op, index, steps in readers if index in held_operands(op)]
        readers.sort(key=lambda reader: (self.order[reader[0]], reader[1]))
        found: list[proj.PathAttr] = []
        for reader, same in groupby(readers, key=lambda each: each[0]):
            ways = [(index, (*steps, *spread_steps(reader, index))) for _, index, steps in same]
            if isinstance(node, ops.GivenOp):  # data are only written
                found += [proj.PathAttr(held_name(reader, index), steps) for index, steps in ways]
            else:
                found += _family_paths(reader, ways, shape_of(node.results[0]))
        return found

    def targets(self, node: ops.NodeOp) -> list[proj.PathAttr]:
        """Return where the node's value is written: all that is held of it, and what dots are told of it."""
        told = [
            proj.PathAttr(told_name(reader, index), steps)
            for reader, index, steps in feas.readers(node)
            if is_told(reader) and index in held_operands(reader)
        ]
        return [*self.paths(node), *told]

    def variables(self, node: ops.NodeOp) -> list[proj.VariableOp]:
        """Return the declarations of what the node holds."""
        if isinstance(node, ops.ParameterOp):
            return [proj.VariableOp(slot_name(node), slot_place(node), node.result.type)]
        declared = [
            proj.VariableOp(held_name(node, index), held_place(node, index), held_type(node, index))
            for index in held_operands(node)
        ]
        if isinstance(node, ops.BilinearOp) and node.form in HALFWAY:
            declared += [
                proj.VariableOp(factor_name(node, name), factor_place(node, name), type)
                for name, type in factor_types(node).items()
            ]
        return declared

    def forward(self) -> Block:
        """Return the forward pass: the network's own operations, and the writes that make copies agree."""
        block, values = forward_pass(self.problem)
        for node in self.trained():
            if node.results and (paths := self.paths(node)):
                block.add_op(proj.WriteOp(values[node.results[0]], paths))
            if isinstance(node, ops.ParameterOp):
                block.add_op(proj.WriteOp(values[node.result], [proj.PathAttr(slot_name(node))]))
            if isinstance(node, ops.BilinearOp) and node.form in HALFWAY:
                block.add_ops(first_factors(node, values))
        return block

    def part(self, name: str) -> Block:
        """Return the projection onto all nodes of a part."""
        block = Block()
        for node in self.trained():
            if node.part is not None and node.part.data == name:
                for op in self.projection(node):
                    op.location = node.location
                    block.add_op(op)
        return block

    def projection(self, node: ops.NodeOp) -> list[Operation]:
        """Return what the projection onto one node does: gather, project, write back."""
        label = node.called
        if isinstance(node, ops.LossOp):
            return self.loss_projection(node)
        if isinstance(node, ops.SetOp):
            return self.set_projection(node)
        paths = self.targets(node)
        if isinstance(node, ops.GivenOp):
            given = given_value(node)
            return [given, proj.WriteOp(given.results[0], paths)]
        gather = proj.GatherOp(label, self.paths(node), node.results[0].type)
        if isinstance(node, ops.ParameterOp):
            slot = proj.PathAttr(slot_name(node))
            return [gather, proj.WriteOp(gather.result, [slot, *paths])]
        if isinstance(node, ops.BilinearOp) and node.form != "exact":
            body, value = compressed_projection(node, gather.result)
            return [gather, *body, proj.WriteOp(value, paths)]
        assert isinstance(node, ops.OperationOp)
        reads = [proj.ReadOp(held_name(node, i), held_type(node, i)) for i in held_operands(node)]
        copies = [read.result for read in reads]
        project = proj.ProjectOp(node.operator, node.fields(), label, copies, gather.result)
        keep = writes_of(node, held_operands(node), project.new_copies)
        return [*reads, gather, project, *keep, proj.WriteOp(project.new_value, paths)]

    def loss_projection(self, node: ops.LossOp) -> list[Operation]:
        """Return the projection (or prox) of a loss on its copies."""
        target_op = node.operands[1].owner
        if not isinstance(target_op, ops.TargetOp):
            raise PassFailedException(
                f"loss '{node.called}' compares with a value that the network computes, and a projection "
                "onto a loss needs a target that is data; train by sweeps, or declare it as op.target"
            )
        read = proj.ReadOp(held_name(node, 0), held_type(node, 0))
        target = proj.DatumOp(target_op.label.data, target_op.result.type)
        project = proj.ProjectLossOp(node.operator, node.fields(), node.called, [read.result], target.result)
        write = proj.WriteOp(project.new_copies[0], [proj.PathAttr(held_name(node, 0))])
        return [read, target, project, write]

    def set_projection(self, node: ops.SetOp) -> list[Operation]:
        """Return the projection of a set's copies."""
        name, kind = held_name(node, 0), held_type(node, 0)
        read = proj.ReadOp(name, kind)
        project = proj.ProjectSetOp(node.kind.data, node.fields(), node.called, read.result)
        return [read, project, proj.WriteOp(project.new_copies, [proj.PathAttr(name)])]


def _family_paths(
    reader: ops.NodeOp, ways: list[tuple[int, tuple[Step, ...]]], shape: Shape
) -> list[proj.PathAttr]:
    """Return the ways to what a reader holds, with which of its nodes read an entry if it is a family."""
    loop = feas.loop_of(reader)
    names = [held_name(reader, index) for index, _ in ways]
    if loop is None:
        return [proj.PathAttr(name, steps) for name, (_, steps) in zip(names, ways, strict=True)]
    count = loop.count.data
    found = [
        Reads(None) if held_by_all(reader, index) else reads(steps, shape, count) for index, steps in ways
    ]
    groups = grouped(reader.called, found)
    return [
        proj.PathAttr(name, steps, count if each.axis is None else 1, group, each.by_number)
        for name, (_, steps), each, group in zip(names, ways, found, groups, strict=True)
    ]
