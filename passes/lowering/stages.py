"""Cut a problem whose depth is a loop into stages, each a problem of its own, and links between them.

The stages are what stands before the loop, each of its iterations, and what stands behind. A value that
depends on data and on parameters belongs to one of them. What depends on data alone, or on parameters alone,
is computed wherever it is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops, view
from pjc.dialects.view import ViewOp, element_of, shape_of
from pjc.passes.analysis.reach import Reach
from pjc.passes.label import Labels
from pjc.passes.lowering.forward import is_common

BEFORE, INSIDE, BEHIND = 0, 1, 2


@dataclass(frozen=True)
class Link:
    """What stages hand on to later ones: its name, its type at one stage, who gives it, and who takes it."""

    label: str
    type: Attribute
    giver: int
    """The last stage that gives it; those that take it, too, give it to the next one of them."""
    taker: int
    """The first stage that takes it."""
    stages: int
    """How many stages take it."""

    @property
    def delay(self) -> int:
        """How many ticks it is on its way."""
        return self.taker - self.giver


@dataclass
class Stage:
    """One stage, or several alike, as a problem: values of the links that it takes are inputs of that."""

    label: str
    first: int
    count: int
    problem: feas.ProblemOp
    gives: dict[str, SSAValue] = field(default_factory=dict)
    """What it hands on, by the label of the link."""
    origin: dict[SSAValue, SSAValue] = field(default_factory=dict)
    """The values of the whole problem that its own stand for."""


def cut(problem: feas.ProblemOp) -> tuple[list[Stage], list[Link]]:
    """Return the stages of a problem, and the links between them, in the order of the network.

    Raises:
        PassFailedException: where the problem has no loop of depth, or more than a stream can split; the text
            says what was found, and what to do.
    """
    return _Cut(problem).run()


@dataclass
class _Cut:
    """A problem while it is cut."""

    problem: feas.ProblemOp
    reach: Reach = field(init=False)
    loop: feas.LoopAttr = field(init=False)
    named: str = field(init=False)
    """What the names of all links begin with: the loop's label, if no input's or target's begins so."""
    place: dict[Operation, int] = field(default_factory=dict)
    """The stage of each op whose value depends on data and on parameters, and of each requirement."""
    links: list[Link] = field(default_factory=list)
    taken: dict[int, dict[SSAValue, str]] = field(
        default_factory=lambda: {BEFORE: {}, INSIDE: {}, BEHIND: {}}
    )
    """For each stage the values that it is handed, with the labels of their links."""
    given: dict[int, dict[str, SSAValue]] = field(
        default_factory=lambda: {BEFORE: {}, INSIDE: {}, BEHIND: {}}
    )
    """For each stage the values that it hands on, by label."""

    def __post_init__(self) -> None:
        self.reach = Reach(self.problem)
        self.loop = self._loop()
        sources = [op.label.data for op in self.problem.body.block.ops if isinstance(op, ops.SourceOp)]
        self.named = self.loop.label.data
        while any(each == self.named or each.startswith(f"{self.named}.") for each in sources):
            self.named += "_"

    def run(self) -> tuple[list[Stage], list[Link]]:
        self._require_layers()
        for op in self.problem.body.block.ops:
            where = self._where(op)
            if where is not None:
                self.place[op] = where
            elif self._is_of_no_stage(op):
                raise self.fail(
                    f"'{op.called}' requires something of a value that parameters alone change",
                    "require it of a parameter itself, or take the default solver",
                )
        for op in self.place:
            self._link(op)
        numbers = {BEFORE: (0, 1), INSIDE: (1, self.count), BEHIND: (self.count + 1, 1)}
        inside = self.loop.label.data
        names = Labels({inside})
        labels = {BEFORE: names.unused("before"), INSIDE: inside, BEHIND: names.unused("behind")}
        stages = [
            _Builder(self, where, Stage(labels[where], *numbers[where], self._empty())).run()
            for where in (BEFORE, INSIDE, BEHIND)
        ]
        self._require_own_parameters(stages)
        return stages, self.links

    @property
    def count(self) -> int:
        """How many iterations the loop has."""
        return self.loop.count.data

    def _empty(self) -> feas.ProblemOp:
        return feas.ProblemOp(self.problem.sym_name.data, self.problem.dims, Region([Block()]))

    def fail(self, found: str, help: str) -> PassFailedException:
        """Return that the problem cannot be streamed, why not, and what to do."""
        return PassFailedException(f"'{self.problem.sym_name.data}' cannot be streamed: {found}; {help}")

    # Where things belong.

    def moves(self, value: SSAValue) -> bool:
        """Whether a value depends on data and on parameters."""
        return value in self.reach.moved and value in self.reach.given

    def _loop(self) -> feas.LoopAttr:
        """Return the loop of depth: the only one that carries what depends on data and on parameters."""
        found: dict[feas.LoopAttr, None] = {}
        for group in self.reach.outputs_first():
            for op in group if self.reach.recurs(group) else []:
                loop = feas.loop_of(op)
                if loop is not None and isinstance(op, view.ShiftOp) and self.moves(op.result):
                    found[loop] = None
        names = [loop.label.data for loop in reversed(found)]
        if not found:
            raise self.fail(
                "it has no loop over its layers, whose iterations would be stages",
                "write equal layers as a loop, 'for i in 0..8 { h = .. }', or take the default solver",
            )
        if len(found) > 1:
            raise self.fail(
                f"it has several loops, {', '.join(map(repr, names))}, and a stream has the stages of one",
                "take the default solver",
            )
        return next(iter(found))

    def _require_layers(self) -> None:
        """Raise unless all that the loop of depth carries depends on data and on parameters."""
        for group in self.reach.outputs_first():
            carries = self.reach.recurs(group) and feas.loop_of(group[0]) == self.loop
            if carries and not self.moves(group[0].results[0]):
                raise self.fail(
                    f"loop '{self.loop.label.data}' also carries what data and parameters do not both change",
                    "compute that before the loop, let it depend on both, or take the default solver",
                )

    def _is_kept_after_steps(self, op: Operation) -> bool:
        """Whether an op is a set of parameters, which are brought back into it after each step."""
        return isinstance(op, ops.SetOp) and feas.is_of_parameters(op)

    def _is_of_no_stage(self, op: Operation) -> bool:
        """Whether an op is a requirement that would ask, and that no stage sees."""
        asks = isinstance(op, ops.LossOp | ops.SetOp) and op.operands[0] in self.reach.moved
        return asks and not self._is_kept_after_steps(op)

    def _where(self, op: Operation) -> int | None:
        """Return the stage of an op; None for what is computed wherever it is read, or not at all."""
        if self._is_kept_after_steps(op):
            return None
        if isinstance(op, ops.LossOp | ops.SetOp):
            return self._place_of(op.operands[0])
        if not op.results or not self.moves(op.results[0]):
            return None
        if feas.loop_of(op) == self.loop:
            return INSIDE
        reads = [self._place_of(each) for each in op.operands if self.moves(each)]
        return BEHIND if any(each in (INSIDE, BEHIND) for each in reads) else BEFORE

    def _place_of(self, value: SSAValue) -> int | None:
        owner = value.owner
        if feas.loop_of(owner) == self.loop and self.moves(value):
            return INSIDE  # which, of a shift, stands further below
        return self.place.get(owner) if isinstance(owner, Operation) else None

    # What crosses from stage to stage.

    def _link(self, op: Operation) -> None:
        """Find the links by which an op of a stage reads values of others."""
        where = self.place[op]
        if isinstance(op, view.ShiftOp) and where == INSIDE:
            self._carry(op)
            return
        for value in op.operands:
            source = self.place.get(value.owner) if isinstance(value.owner, Operation) else None
            if source is None or source == where:
                continue
            if where == INSIDE:
                raise self.fail(
                    f"each iteration of loop '{self.loop.label.data}' reads what stands before it",
                    "let the loop carry it, or take the default solver",
                )
            if source == INSIDE:
                self._leave(op, value)
            elif value not in self.taken[BEHIND]:
                label = f"{self.named}.beside{len(self.links)}"
                self.links.append(Link(label, value.type, 0, self.count + 1, 1))
                self.taken[BEHIND][value], self.given[BEFORE][label] = label, value

    def _carry(self, shift: view.ShiftOp) -> None:
        """Make a link of what the loop carries."""
        if self._place_of(shift.rest) != INSIDE:
            raise self.fail(
                f"loop '{self.loop.label.data}' carries what it does not make", "take the default solver"
            )
        if shift.first in self.reach.moved and not self.moves(shift.first):
            raise self.fail(
                f"loop '{self.loop.label.data}' starts from parameters alone",
                "let it start from what depends on data, or take the default solver",
            )
        carries = sum(label in self.given[INSIDE] for label in self.given[BEFORE])
        label = self.named + (f".{carries}" if carries else "")
        self.links.append(Link(label, self.step_type(shift.result), 0, 1, self.count))
        self.taken[INSIDE][shift.result] = label
        self.given[BEFORE][label], self.given[INSIDE][label] = shift.first, shift.rest

    def _leave(self, op: Operation, value: SSAValue) -> None:
        """Make a link of what an op behind the loop reads of it, which has to be of the last iteration."""
        own = self.step_type(value)
        size, total = shape_of_type(own)[0], shape_of(value)[0]
        last = isinstance(op, view.SliceOp) and op.starts.get_values()[0] == total - size
        if not last or op.results[0].type != own:
            raise self.fail(
                f"what stands behind loop '{self.loop.label.data}' reads what other iterations than the last "
                "one give",
                "let the loop carry it, or take the default solver",
            )
        label = f"{self.named}.end" + (f"{len(self.links)}" if self.taken[BEHIND] else "")
        self.links.append(Link(label, own, self.count, self.count + 1, 1))
        self.taken[BEHIND][op.results[0]] = label
        self.given[INSIDE][label] = value

    def step_type(self, value: SSAValue) -> TensorType[Attribute]:
        """Return the type of one iteration's share of a value."""
        size, *rest = shape_of(value)
        return TensorType(element_of(value), [size // self.count, *rest])

    def _require_own_parameters(self, stages: list[Stage]) -> None:
        """Raise unless each parameter belongs to one stage, which alone moves it."""
        owners: dict[str, str] = {}
        for stage in stages:
            for op in stage.problem.nodes():
                if (
                    isinstance(op, ops.ParameterOp)
                    and owners.setdefault(op.called, stage.label) != stage.label
                ):
                    raise self.fail(
                        f"parameter '{op.called}' is read by several stages, '{owners[op.called]}' and "
                        f"'{stage.label}'",
                        "give each a parameter of its own, or take the default solver",
                    )


def shape_of_type(kind: TensorType[Attribute]) -> tuple[int, ...]:
    """Return the sizes of a type."""
    return tuple(kind.get_shape())


@dataclass
class _Builder:
    """The problem of a stage while it is made; values by those of the whole problem."""

    cut: _Cut
    where: int
    stage: Stage
    made: dict[SSAValue, SSAValue] = field(default_factory=dict)
    awaited: dict[SSAValue, ops.ConstantOp] = field(default_factory=dict)
    """What stands for the values of a recurrence until they are made."""

    def run(self) -> Stage:
        cut, stage = self.cut, self.stage
        for value, label in cut.taken[self.where].items():
            kind = cut.step_type(value) if self.where == INSIDE else value.type
            self.put(ops.InputOp(label, kind), value)
        wanted = self.wanted()
        for op in cut.problem.body.block.ops:
            if op in wanted and not (op.results and op.results[0] in self.made):
                self.copy(op)
        assert not self.awaited
        for label, value in cut.given[self.where].items():
            stage.gives[label] = self.made[value]
        return stage

    def wanted(self) -> set[Operation]:
        """Return the ops of the stage, with what they read that is computed wherever it is read."""
        cut = self.cut
        found: set[Operation] = set()
        own = [op for op, where in cut.place.items() if where == self.where]
        waiting: list[Operation] = [
            *(op for op in own if not (op.results and op.results[0] in self.made)),
            *_owners(cut.given[self.where].values()),
        ]
        while waiting:
            op = waiting.pop()
            if op in found or any(each in self.made for each in op.results):
                continue
            found.add(op)
            waiting += _owners(op.operands)
        return found

    def put(self, op: Operation, old: SSAValue | None) -> None:
        self.stage.problem.body.block.add_op(op)
        if old is not None:
            self.made[old] = op.results[0]
            if old in self.awaited:
                self.awaited.pop(old).result.replace_all_uses_with(op.results[0])
            self.stage.origin[op.results[0]] = old
            op.results[0].name_hint = old.name_hint

    def copy(self, op: Operation) -> None:
        """Add an op of the whole problem: of the loop, as it is at one iteration."""
        old = op.results[0] if op.results else None
        operands = [self.made[each] if each in self.made else self.await_(each) for each in op.operands]
        if self.where != INSIDE or not self.is_stepped(op):
            new = op.clone(value_mapper=dict(zip(op.operands, operands, strict=True)))
        else:
            new = self.step(op, operands)
        new.location = op.location
        feas.put_in_loop(new, None if feas.loop_of(op) == self.cut.loop else feas.loop_of(op))
        self.put(new, old)

    def await_(self, value: SSAValue) -> SSAValue:
        """Return what stands for a value that a recurrence reads before it is made."""
        if value not in self.awaited:
            self.awaited[value] = ops.ConstantOp(0.0, value.type)
        return self.awaited[value].result

    def is_stepped(self, op: Operation) -> bool:
        """Whether each iteration has a share of an op's own."""
        if feas.loop_of(op) == self.cut.loop:
            for index, value in enumerate(op.operands):
                self.require_share(op, index, value)
            return True
        return isinstance(op, ops.ParameterOp)

    def require_share(self, op: Operation, index: int, value: SSAValue) -> None:
        """Raise unless an iteration reads its share of what is its own, and all of what is not."""
        loop, owner = self.cut.loop.label.data, value.owner
        own = isinstance(owner, ops.ParameterOp) or feas.loop_of(owner) == self.cut.loop
        if is_common(op, index) and value in self.cut.reach.moved:
            raise self.cut.fail(
                f"all iterations of loop '{loop}' read the same parameter", "give each one of its own"
            )
        if not own and not is_common(op, index):
            raise self.cut.fail(
                f"the iterations of loop '{loop}' read entries of what stands outside, each its own",
                "let the loop read all of it, or take the default solver",
            )

    def step(self, op: Operation, operands: list[SSAValue]) -> Operation:
        """Return an op as it is at one iteration."""
        cut = self.cut
        match op:
            case ops.ParameterOp():
                return ops.ParameterOp(op.called, op.init, cut.step_type(op.result))
            case ViewOp():
                first, *_ = shape_of_type(cut.step_type(op.results[0]))
                return op.changed(operands, lambda step: step.with_first(first))
        kinds = [cut.step_type(each) for each in op.results]
        return type(op).create(
            operands=operands,
            result_types=kinds,
            properties=dict(op.properties),
            attributes=dict(op.attributes),
        )


def _owners(values: Iterable[SSAValue]) -> list[Operation]:
    return [each.owner for each in values if isinstance(each.owner, Operation)]
