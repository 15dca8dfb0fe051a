"""Where the asks of a sweep are written: what values are there, and what is asked of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from xdsl.ir import Attribute, Block, Operation, SSAValue

from pjc.dialects import asking as ask
from pjc.dialects import feas, ops, proj, view
from pjc.dialects.shapes import Shape
from pjc.dialects.steps import Broadcast, Reshape, Step
from pjc.dialects.view import ViewOp, shape_of
from pjc.passes.analysis.reach import Reach
from pjc.passes.analysis.sample_rows import SampleRows
from pjc.passes.lowering.behind import Behind, Read, is_whole
from pjc.passes.lowering.forward import is_common
from pjc.passes.lowering.holding import form_of
from pjc.passes.solvers import Sweep

OpT = TypeVar("OpT", bound=Operation)


@dataclass(frozen=True)
class Asker:
    """A product, or a jump, that asks something of a value, until it is known how much that may be."""

    node: ops.OperationOp
    demand: SSAValue
    """What it was asked itself."""
    steps: int
    """How many steps of a loop that has."""


@dataclass(frozen=True)
class Asked:
    """What a node asks of a value: a displacement of it."""

    tensor: SSAValue
    asker: Asker | None = None
    """What asks, if the size of what it asks is still to be bounded."""
    summed: bool = False
    """Whether it is the sum of what the samples ask of a value that they share, not yet their mean."""
    everywhere: bool = False
    """Whether samples on other devices ask too."""


@dataclass
class Frame:
    """The asks outside of recurrences: of the values at all steps of their loops at once."""

    block: Block
    solver: Sweep
    rows: SampleRows
    reach: Reach
    asked: dict[SSAValue, list[Asked]] = field(default_factory=dict)
    shown: dict[SSAValue, SSAValue] = field(default_factory=dict)
    norms: dict[Operation, tuple[SSAValue, ...]] = field(default_factory=dict)

    def add(self, op: OpT) -> OpT:
        """Add an op to the frame's block."""
        self.block.add_op(op)
        return op

    def steps_of(self, owner: Operation | Block) -> int:
        """Return how many steps of a loop a tensor of an op has here."""
        return all_steps(owner)

    def value(self, value: SSAValue) -> SSAValue:
        """Return the value that one of the problem has in the forward pass."""
        if value not in self.shown:
            self.shown[value] = self.add(self._shown(value)).results[0]
        return self.shown[value]

    def _shown(self, value: SSAValue) -> Operation:
        match value.owner:
            case ops.SourceOp() as source:
                return proj.DatumOp(source.label.data, value.type)
            case ops.ConstantOp() as constant:
                found = constant.clone()
                found.part = None
                return found
            case ops.NodeOp() as node:
                return ask.ValueOp(node.called, value.type)
            case ViewOp() as moved:
                made = moved.clone(value_mapper={each: self.value(each) for each in moved.operands})
                feas.put_in_loop(made, None)
                return made
        raise TypeError(f"a forward pass has no value of {value.owner}")

    def operand(self, op: Operation, index: int) -> SSAValue:
        """Return the value of an operand of an op."""
        return self.value(op.operands[index])

    # What is asked of values.

    def take(self, value: SSAValue, asked: Asked) -> None:
        """Keep what is asked of a value here."""
        self.asked.setdefault(value, []).append(asked)

    def put(self, op: Operation, index: int, asked: Asked) -> None:
        """Take what an op asks of an operand.

        What all samples ask of a value that they share is marked, or added up, here; what the steps of a loop
        ask of a value outside is bounded, while they are told apart.
        """
        value = op.operands[index]
        asking = _asking(op)
        if value not in self.reach.own:
            if asking in self.reach.own:
                spread = self.rows.of(asking) is not None
                asked = replace(asked, summed=True, everywhere=spread, asker=None)
        elif op.results and self.rows.of(value) is None and self.rows.of(op.results[0]) is not None:
            asked = self.bounded(asked, value)
            total = self.add(ask.OverSamplesOp("total", asked.tensor, True))
            asked = replace(asked, tensor=total.result)
        elif self._leaves_loop(op, value):
            asked = self.bounded(asked, value, None if is_common(op, index) else self.steps_of(op))
        self.take(value, asked)

    def _leaves_loop(self, op: Operation, value: SSAValue) -> bool:
        return feas.loop_of(op) not in (None, feas.loop_of(value.owner))

    def total(self, value: SSAValue) -> SSAValue | None:
        """Return the demand of a value: the sum of what is asked of it; None if nothing is."""
        found = [self.bounded(self.together(each), value) for each in alike(self.asked.pop(value, []))]
        if value not in self.reach.moved or not found:
            return None
        own = [each.tensor for each in found if not each.summed]
        for everywhere in (True, False):
            summed = [each.tensor for each in found if each.summed and each.everywhere is everywhere]
            if summed:
                mean = ask.OverSamplesOp("mean", self.sum_of(summed), everywhere)
                own.append(self.add(mean).result)
        return self.sum_of(own)

    def together(self, asked: list[Asked]) -> Asked:
        """Return what is asked of a value and treated alike, as one."""
        return replace(asked[0], tensor=self.sum_of([each.tensor for each in asked]))

    def sum_of(self, tensors: list[SSAValue]) -> SSAValue:
        """Return the sum of tensors."""
        (first, *others) = tensors
        for each in others:
            first = self.add(ask.AddOp(first, each)).result
        return first

    def bounded(self, asked: Asked, value: SSAValue, steps: int | None = None) -> Asked:
        """Return what is asked of a value, bounded where that is to be and each sample has the value.

        ``steps`` tells of how many steps of a loop, if not of as many as the value has.
        """
        asker = asked.asker
        if asker is None or not self.bounds(asked, value):
            return replace(asked, asker=None)
        rows = self.rows.of(value), self.rows.of(asker.node.results[0])
        if steps is None:
            steps = self.steps_of(value.owner)
        treatment = self.treatment(asker.node)
        bound = ask.BoundOp(treatment, (asked.tensor, asker.demand), rows, (steps, asker.steps))
        return replace(asked, tensor=self.add(bound).result, asker=None)

    def bounds(self, asked: Asked, value: SSAValue) -> bool:
        """Whether what is asked of a value is yet to be bounded."""
        return asked.asker is not None and self.limits(asked.asker.node, value)

    def limits(self, node: ops.OperationOp, value: SSAValue) -> bool:
        """Whether what a node asks of a value is bounded: if each sample has one, unless in proportion."""
        return value in self.reach.own and self.treatment(node) != "plain"

    def treatment(self, node: ops.OperationOp) -> str:
        """Return what is done about the size of what a node asks."""
        return self.solver.treatment(
            product=isinstance(node, ops.BilinearOp | ops.ProductOp), jump=node.jumps
        )

    # What operations ask.

    def demand(self, node: ops.LossOp | ops.SetOp) -> None:
        """Write what a requirement demands of its value."""
        if node.value not in self.reach.moved:
            return
        value, rows = self.value(node.value), self.rows.of(node.value)
        made: ask.DemandOp | ask.DemandInSetOp
        if isinstance(node, ops.LossOp):
            rows = rows or self.rows.of(node.target)
            target = self.value(node.target)
            made = ask.DemandOp(node.operator, node.fields(), node.called, value, target, rows)
        else:
            made = ask.DemandInSetOp(node.kind.data, node.fields(), node.called, value, rows)
        made.location = node.location
        self.put(node, 0, Asked(self.add(made).result))

    def undo(self, op: ViewOp) -> None:
        """Write what a view asks of its operands: those who ask are told apart, until bounds are known."""
        found = self.asked.pop(op.results[0], [])
        if is_whole(op):
            found = [self.bounded(self.together(each), op.results[0]) for each in alike(found)]
        for asked in alike(found):
            total = self.together(asked)
            for index in self.reach.needed(op):
                self.put_undone(op, index, total)

    def put_undone(self, op: ViewOp, index: int, asked: Asked) -> None:
        """Take what a view asks of an operand, by what is asked of its result."""
        leaves = is_common(op, index) and self._leaves_loop(op, op.operands[index])
        if leaves and self.bounds(asked, op.results[0]):
            self._put_steps_apart(op, index, asked)
            return
        back = self.undone(op, index, asked.tensor)
        self.put(op, index, replace(asked, tensor=back))

    def _put_steps_apart(self, op: ViewOp, index: int, asked: Asked) -> None:
        """Take what each step of a loop asks through a view that all share, each bounded by itself."""
        steps, shape = self.steps_of(op), shape_of(op.operands[index])
        step = op.step(index)
        assert isinstance(step, Broadcast)
        apart = view.tensor_like(asked.tensor, (steps, *shape))
        if 0 in step.dims:  # from a first axis of one entry, which the steps' is made of
            row = view.tensor_like(asked.tensor, (steps, *shape[1:]))
            back = self.add(ask.CollectOp(asked.tensor, step, row)).result
            back = self.add(ask.CollectOp(back, Reshape((steps, *shape[1:])), apart)).result
        else:
            lifted = replace(step, dims=(0, *step.dims))
            back = self.add(ask.CollectOp(asked.tensor, lifted, apart)).result
        behind = Behind(self.reach, lambda reader, at: _can_lift(reader.operands[at].owner))
        for read, tensor in behind.undone((op, index), back, partial(self._undone_apart, steps)):
            self.put_apart(read, steps, replace(asked, tensor=self._flat(tensor)))

    def _undone_apart(self, steps: int, op: ViewOp, index: int, asked: SSAValue) -> SSAValue:
        """Return what each step asks of an operand of a view, by what each asks of its result."""
        kind = view.tensor_like(asked, (steps, *shape_of(op.operands[index])))
        return self.add(ask.CollectOp(asked, op.step(index).lifted(steps), kind)).result

    def _flat(self, apart: SSAValue) -> SSAValue:
        """Return what has an axis for steps with the steps one after another along the next."""
        steps, first, *rest = shape_of(apart)
        kind = view.tensor_like(apart, (steps * first, *rest))
        return self.add(ask.CollectOp(apart, Reshape(shape_of(apart)), kind)).result

    def put_apart(self, read: Read, steps: int, asked: Asked) -> None:
        """Take what each of several steps asks of one value: the sum, after each was bounded by itself.

        What they ask stands one after another along the first axis.
        """
        op, index = read
        value = op.operands[index]
        asked = self.bounded(asked, value, steps * all_steps(value.owner))
        shape = shape_of(value)
        apart = (steps, *shape)
        path = (Broadcast(apart, tuple(range(1, len(apart)))), Reshape(shape_of(asked.tensor)))
        self.put(op, index, Asked(self.collected(asked.tensor, path, shape)))

    def undone(self, op: ViewOp, index: int, asked: SSAValue) -> SSAValue:
        """Return what is asked of an operand of a view, by what is asked of its result."""
        indices = self.value(op.indices) if isinstance(op, view.GatherOp) else None
        return self.add(ask.CollectOp(asked, op.step(index), op.operands[index].type, indices)).result

    def respond(self, op: ops.OperationOp, demand: SSAValue) -> None:
        """Write what an operation asks of its operands, so that its value moves as demanded."""
        if isinstance(op, ops.BilinearOp) and form_of(op) != "exact":
            self.respond_by_multipliers(op, demand)
        elif isinstance(op, ops.DotOp):
            self.respond_by_copies(op, demand)
        else:
            self.respond_by_entries(op, demand)

    def respond_by_entries(self, op: ops.OperationOp, demand: SSAValue) -> None:
        """Write the response of an operation whose sites hold an entry of each operand."""
        relative = isinstance(op, ops.ProductOp)
        inputs = [self.operand(op, index) for index in range(len(op.operands))]
        made = self.add(
            ask.RespondOp(
                like(op),
                inputs,
                demand,
                self.solver.weight if relative else self.solver.value_weight,
                relative=relative,
                rows=self.rows.of(op.results[0]),
                steps=self.steps_of(op),
                signature=op.signature if isinstance(op, ops.ApplyOp) else None,
            )
        )
        made.location = op.location
        bounds = self.treatment(op) != "plain"
        asker = Asker(op, demand, self.steps_of(op)) if bounds else None
        for index in self.reach.needed(op):
            self.put(op, index, Asked(made.responses[index], asker))

    def respond_by_copies(self, op: ops.DotOp, demand: SSAValue) -> None:
        """Write the response of a dot that holds all copies of its operands."""
        lhs, rhs = self.operand(op, 0), self.operand(op, 1)
        paths = self.copy_paths(lhs, rhs)
        copies = [self._spread(value, path) for value, path in zip((lhs, rhs), paths, strict=True)]
        made = self.add(
            ask.RespondOp(
                like(op),
                copies,
                demand,
                self.solver.weight,
                relative=True,
                rows=self.rows.of(op.result),
                steps=self.steps_of(op),
            )
        )
        made.location = op.location
        asker = Asker(op, demand, self.steps_of(op))
        for index in self.reach.needed(op):
            self.put_copies(op, index, made.responses[index], paths[index], asker)

    def put_copies(
        self, op: ops.DotOp, index: int, copies: SSAValue, path: tuple[Step, ...], asker: Asker
    ) -> None:
        """Take what the copies of an operand are asked."""
        back = self.collected(copies, path, shape_of(self.operand(op, index)))
        self.put(op, index, Asked(back, asker))

    def copy_paths(self, lhs: SSAValue, rhs: SSAValue) -> list[tuple[Step, ...]]:
        """Return the steps from the operands of a dot to their copies."""
        shell = ops.DotOp(lhs, rhs)
        paths = [shell.operand_path(index) for index in range(2)]
        shell.drop_all_references()
        return paths

    def _spread(self, value: SSAValue, path: Iterable[Step]) -> SSAValue:
        for step in path:
            value = self.add(view.move_by(step, value)).result
        return value

    def collected(self, copies: SSAValue, path: tuple[Step, ...], shape: Shape) -> SSAValue:
        """Return what is asked of a value of a shape, by what is asked of the copies at the end of a path."""
        shapes = [shape]
        for step in path:
            shapes.append(step.result_shape(shapes[-1]))
        for step, before in zip(reversed(path), reversed(shapes[:-1]), strict=True):
            copies = self.add(ask.CollectOp(copies, step, view.tensor_like(copies, before))).result
        return copies

    def respond_by_multipliers(self, op: ops.BilinearOp, demand: SSAValue) -> None:
        """Write the response of a dot or a convolution whose copies are never made."""
        made = self.add(
            ask.MultipliersOp(
                like(op), self.value(op.results[0]), demand, self.norms_of(op), self.solver.weight
            )
        )
        made.location = op.location
        asker = Asker(op, demand, self.steps_of(op))
        for index in self.reach.needed(op):
            self.put_shared(op, index, (made.sigma, made.rho), asker)

    def put_shared(
        self, op: ops.BilinearOp, index: int, multipliers: tuple[SSAValue, SSAValue], asker: Asker
    ) -> None:
        """Take what the multipliers of a product ask of one of its operands."""
        response = self.response_by(op, index, multipliers)
        self.put(op, index, Asked(response, asker))

    def response_by(self, op: ops.BilinearOp, index: int, multipliers: tuple[SSAValue, SSAValue]) -> SSAValue:
        """Return what the multipliers of a product ask of one of its operands."""
        operands = self.operand(op, 0), self.operand(op, 1)
        made = self.add(ask.RespondSharedOp(like(op), operands, multipliers, index))
        made.location = op.location
        return made.response

    def norms_of(self, op: ops.BilinearOp) -> tuple[SSAValue, ...]:
        """Return the norms of a product's copies, in proportion to their mean at each step."""
        if op not in self.norms:
            steps, shape = self.steps_of(op), shape_of(op.results[0])
            lhs, rhs = self.value(op.lhs), self.value(op.rhs)
            shapes = (*part_shapes(op), (steps, *[1] * (len(shape) - 1)))
            made = self.add(ask.NormsOp(like(op), (lhs, rhs), shapes, self.rows.of(op.results[0]), steps))
            made.location = op.location
            self.norms[op] = tuple(made.results)
        return self.norms[op]


def _asking(op: Operation) -> SSAValue:
    """Return the value whose samples ask of an op's operands: its result, a loss's target, a set's value."""
    if isinstance(op, ops.LossOp):
        return op.target
    return op.results[0] if op.results else op.operands[0]


def all_steps(owner: Operation | Block) -> int:
    """Return of how many steps of a loop a tensor of an op is, also where one step is asked at a time."""
    loop = feas.loop_of(owner)
    return 1 if loop is None else loop.count.data


def _can_lift(owner: object) -> bool:
    return isinstance(owner, ViewOp) and owner.STEP.can_lift()


def like(op: ops.OperationOp) -> tuple[str, dict[str, Attribute], str]:
    """Return what an op of the program is given to do what an operation does: operator, fields and node."""
    return op.operator, op.fields(), op.called


def part_shapes(op: ops.BilinearOp) -> tuple[Shape, Shape]:
    """Return the shapes of what each operand adds to the squared norm of a site."""
    lhs, rhs, result = (shape_of(each) for each in (op.lhs, op.rhs, op.results[0]))
    if isinstance(op, ops.ConvolutionOp):
        return (*result[:-1], 1), (result[-1],)
    return (*lhs[:-1], 1), (*rhs[:-2], 1, rhs[-1])


def alike(asked: list[Asked]) -> list[list[Asked]]:
    """Return what is treated alike together, and each of what is still to be bounded by itself.

    So what is asked through two reads of one value is bounded at each. A loop may read one value twice at its
    first step alone.
    """
    found: dict[tuple[object, bool, bool], list[Asked]] = {}
    for each in asked:
        key = (None if each.asker is None else id(each), each.summed, each.everywhere)
        found.setdefault(key, []).append(each)
    return list(found.values())
