"""The proj dialect: a solver as a program over tensors.

A program declares what it takes, and holds *variables* (copies and slots, together the state ``x`` of
docs/design.md#meaning), the forward pass, one region for each part that projects onto all its constraints at
once, and the solver's iteration in terms of those. Within a part every read is of the state before
the part and the writes do not overlap, so the order of its operations cannot matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    UnitAttr,
    f64,
    i32,
    i64,
)
from xdsl.ir import (
    Attribute,
    Dialect,
    ParametrizedAttribute,
    Region,
    SSAValue,
    TypeAttribute,
)
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import IsTerminator, NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.asking import ASKING, DisplaceOp, OverSamplesOp, SweepOp, ValueOp
from pjc.dialects.blame import BrokenRule, blaming
from pjc.dialects.declarations import verify_dims, verify_outputs
from pjc.dialects.layout import MeshAttr, verify_sharding
from pjc.dialects.ops import FLOATS, OutputOp, ParameterOp
from pjc.dialects.projecting import (
    ConstrainOp,
    DatumOp,
    EvaluateOp,
    ForwardOp,
    GatherOp,
    ProjectHalfwayOp,
    ProjectLossOp,
    ProjectOp,
    ProjectSetOp,
    ProjectSharedOp,
    ReadOp,
    WriteOp,
    verify_indices,
)
from pjc.dialects.shapes import Shape
from pjc.dialects.streaming import STREAMING, HandOp, RingOp, StageOp, TakeOp
from pjc.dialects.variables import ROLES, PathAttr, Place, Role, VariableOp
from pjc.dialects.view import element_bytes, shape_of


@irdl_attr_definition
class StateType(ParametrizedAttribute, TypeAttribute):
    """All copies and slots at once: ``!proj.state``."""

    name = "proj.state"


@irdl_op_definition
class ProgramOp(IRDLOperation):
    """A solver for one problem: ``proj.program @mlp parts ["A", "B"] dims {batch = 128} { ... }``.

    With ``mesh <..>`` its tensors say how they are split over devices: ``sharded <..>``. With ``assigned
    {"dense.matmul" = 1}`` one device along the stack axis projects each constraint, for the others too.
    """

    name = "proj.program"

    sym_name = prop_def(SymbolNameConstraint())
    parts = prop_def(ArrayAttr[StringAttr])
    dims = prop_def(DictionaryAttr)
    mesh = opt_prop_def(MeshAttr)
    assigned = opt_prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())

    assembly_format = (
        "$sym_name `parts` $parts `dims` $dims (`mesh` $mesh^)? (`assigned` $assigned^)? "
        "attr-dict-with-keyword $body"
    )

    def __init__(self, name: str, parts: Sequence[str], dims: DictionaryAttr, body: Region) -> None:
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "parts": ArrayAttr([StringAttr(part) for part in parts]),
                "dims": dims,
            },
            regions=[body],
        )

    def _verify_names(self) -> None:
        """Raise unless every variable, input, target, ring and stage is declared once."""
        kinds = (
            (VariableOp, "variable"),
            (InputOp, "input"),
            (TargetOp, "target"),
            (RingOp, "ring"),
            (StageOp, "stage"),
        )
        for kind, called in kinds:
            found = [op for op in self.body.block.ops if isinstance(op, kind)]
            names: set[str] = set()
            for op in found:
                name = op.sym_name.data if isinstance(op, VariableOp | RingOp) else op.label.data
                if name in names:
                    raise BrokenRule(f"{called} '{name}' is declared twice", op)
                names.add(name)

    def _verify_assigned(self) -> None:
        """Raise unless every constraint is assigned to a device of the stack axis."""
        if self.assigned is None:
            return
        count = 1 if self.mesh is None else self.mesh.sizes()["stack"]
        for name, device in self.assigned.data.items():
            if not (isinstance(device, IntegerAttr) and 0 <= device.value.data < count):
                raise VerifyException(f"'{name}' is assigned to {device}; the stack axis has {count} devices")

    def variables(self) -> dict[str, VariableOp]:
        """Return the variables by name, in the order of the text."""
        return {op.sym_name.data: op for op in self.body.block.ops if isinstance(op, VariableOp)}

    def held(self) -> dict[Place, VariableOp]:
        """Return the variables by node, role and operand."""
        return {variable.place: variable for variable in self.variables().values()}

    def device_of(self) -> dict[str, int]:
        """Return which device along the stack axis projects each constraint; empty if all project all."""
        if self.assigned is None:
            return {}
        found = {}
        for name, device in self.assigned.data.items():
            assert isinstance(device, IntegerAttr)
            found[name] = device.value.data
        return found

    def state_bytes(self) -> int:
        """Return the size of a state, with all that is held beside the copies."""
        types = [variable.type for variable in self.variables().values()]
        return sum(prod(shape_of(each)) * element_bytes(each) for each in types)

    def has_loops(self) -> bool:
        """Return whether the forward pass has a loop: then there are families of constraints."""
        return any(isinstance(op, ForOp) for op in self.walk())

    def part_ops(self) -> dict[str, PartOp]:
        """Return the parts' regions by name."""
        return {op.part.data: op for op in self.body.block.ops if isinstance(op, PartOp)}

    def forward_op(self) -> ForwardOp:
        """Return the forward pass."""
        return next(op for op in self.body.block.ops if isinstance(op, ForwardOp))

    def iterate_op(self) -> IterateOp | None:
        """Return the solver's iteration; None where there is nothing to train."""
        return next((op for op in self.body.block.ops if isinstance(op, IterateOp)), None)

    def sweep_op(self) -> SweepOp | None:
        """Return the sweep; None for a solver that iterates, or where there is nothing to train."""
        return next((op for op in self.body.block.ops if isinstance(op, SweepOp)), None)

    def stage_ops(self) -> list[StageOp]:
        """Return the stages of a stream in their order; none for other solvers."""
        return [op for op in self.body.block.ops if isinstance(op, StageOp)]

    def rings(self) -> dict[str, RingOp]:
        """Return what stands between the stages of a stream, by name."""
        return {op.label: op for op in self.body.block.ops if isinstance(op, RingOp)}

    @property
    def batch(self) -> int | None:
        """The size of the dimension called ``batch``; None if the program has none."""
        size = self.dims.data.get("batch")
        return size.value.data if isinstance(size, IntegerAttr) else None

    @property
    def pieces(self) -> int:
        """How many pieces a batch goes through a stream in: rings hold so much less of it than comes in."""
        rings = self.rings()
        found = [pieces_in(op, rings[op.label.data]) for op in self.sources() if op.label.data in rings]
        return max(found, default=1)

    def sources(self) -> list[InputOp | TargetOp]:
        """Return the declarations of what the program takes."""
        return [op for op in self.body.block.ops if isinstance(op, InputOp | TargetOp)]

    @property
    def solver(self) -> str | None:
        """The solver with its numbers, as text; None where there is nothing to train."""
        found = self.iterate_op() or self.sweep_op()
        for stage in self.stage_ops():
            found = found or stage.sweep_op()
        return None if found is None else str(found.solver.data)

    def _verify_values(self) -> None:
        """Raise unless what a sweep takes from the forward pass is there, of that type."""
        sweep = self.sweep_op()
        if sweep is not None:
            _verify_values(sweep, self.forward_op())
        for stage in self.stage_ops():
            _verify_values(stage.sweep_op(), stage.forward_op())

    def _verify_stages(self) -> None:
        """Raise unless the stages of a stream use rings and slots as they are declared."""
        rings, variables = self.rings(), self.variables()
        for stage in self.stage_ops():
            stage.verify_displaced(variables)
            for op in stage.walk():
                if isinstance(op, TakeOp | HandOp):
                    op.verify_ring(rings)
        pieces = self.pieces
        for op in self.sources():
            ring = rings.get(op.label.data)
            if ring is not None and pieces_in(op, ring) not in (1, pieces):
                raise VerifyException(
                    f"ring '@{ring.label}' holds {ring.type} of {op.type}, which is none of {pieces} pieces"
                )

    def node_shapes(self) -> dict[str, Shape]:
        """Return the shapes of what the forward pass gives of each node, all steps of a loop together."""
        return _node_shapes(self.forward_op())

    def verify_(self) -> None:
        verify_dims(self.dims)
        self._verify_names()
        places: set[Place] = set()
        for variable in self.variables().values():
            if variable.place in places:
                raise BrokenRule(
                    f"'{variable.node.data}' holds two variables of role '{variable.role.data}'", variable
                )
            places.add(variable.place)
        forwards = [op for op in self.body.block.ops if isinstance(op, ForwardOp)]
        if len(forwards) != 1:
            raise VerifyException(f"a program has one proj.forward, found {len(forwards)}")
        verify_outputs(op for op in forwards[0].body.block.ops if isinstance(op, OutputOp))
        found = list(self.part_ops())
        expected = [part.data for part in self.parts]
        if sorted(found) != sorted(expected):
            raise VerifyException(f"the program's parts are {expected}, but it holds {found}")
        self._verify_assigned()
        self._verify_values()
        self._verify_stages()
        variables = self.variables()
        data = {op.label.data: op for op in forwards[0].body.block.ops if isinstance(op, DatumOp)}
        declared = {} if self.rings() else {op.label.data: op.type for op in self.sources()}
        displaced: set[str] = set()
        for op in self.walk():
            with blaming(op):
                if isinstance(op, DatumOp):
                    _verify_given(op, declared)
                if isinstance(op, OverSamplesOp) and op.manner.data == "mean" and self.batch is None:
                    raise VerifyException("a mean over samples needs their number, a dimension 'batch'")
                if isinstance(op, DisplaceOp):
                    _verify_once(op, displaced)
                if isinstance(op, ReadOp | GatherOp | WriteOp | ConstrainOp):
                    op.verify_variables(variables)
                if isinstance(op, DisplaceOp) and op.parent_op() is self.sweep_op():
                    op.verify_variables(variables)
                if isinstance(op, GatherOp | WriteOp):
                    verify_indices(op.paths, data)
                if isinstance(op, SHARDED) and op.sharding is not None:
                    verify_sharding(op.sharding, shape_of(op.sharded_type()), self.mesh)


def _verify_given(op: DatumOp, declared: Mapping[str, Attribute]) -> None:
    """Raise unless an input or a target is read as it is declared; streams read pieces, of rings."""
    type = declared.get(op.label.data)
    if type is not None and type != op.result.type:
        raise VerifyException(f"'{op.label.data}' is declared as {type}, and read as {op.result.type}")


def _verify_once(op: DisplaceOp, displaced: set[str]) -> None:
    """Raise where a slot is displaced that is so already."""
    if op.variable.data in displaced:
        raise VerifyException(f"'@{op.variable.data}' is displaced twice")
    displaced.add(op.variable.data)


def pieces_in(source: InputOp | TargetOp, ring: RingOp) -> int:
    """Return how many of what a ring holds make up what comes in; 0 where they do not."""
    whole, part = shape_of(source.type), shape_of(ring.type)
    if whole == part:
        return 1
    if not whole or not part or whole[1:] != part[1:] or whole[0] % part[0]:
        return 0
    return whole[0] // part[0]


def _verify_values(sweep: SweepOp, forward: ForwardOp) -> None:
    """Raise unless what a sweep takes from a forward pass is there, of that type."""
    found = _node_shapes(forward)
    for op in sweep.walk():
        if isinstance(op, ValueOp) and found.get(op.node.data) != shape_of(op.result):
            known = "no such node" if op.node.data not in found else shapes.show(found[op.node.data])
            raise BrokenRule(
                f"the forward pass gives '{op.node.data}' as {known}, and the sweep takes {op.result.type}",
                op,
            )


def _node_shapes(forward: ForwardOp) -> dict[str, Shape]:
    """Return the shapes of what a forward pass gives of each node, all steps of a loop together."""
    found: dict[str, Shape] = {}
    for op in forward.body.block.ops:
        match op:
            case ParameterOp():
                found[op.label.data] = shape_of(op.result)
            case EvaluateOp():
                found[op.node.data] = shape_of(op.result)
            case ForOp():
                end = op.body.block.last_op
                assert isinstance(end, NextOp)
                for inside, whole in zip(end.collected, op.collected, strict=True):
                    if isinstance(inside.owner, EvaluateOp):
                        found[inside.owner.node.data] = shape_of(whole)
    return found


@irdl_op_definition
class InputOp(IRDLOperation):
    """What a program takes: ``proj.input "x" : tensor<128x64xf32>``.

    Numbers of rows say of how many: ``proj.input "tokens" rows 65 : tensor<4x16xi32>``.
    """

    name = "proj.input"

    label = prop_def(StringAttr)
    rows = opt_prop_def(IntegerAttr.constr(i64))
    type = prop_def(TensorType)

    assembly_format = "$label (`rows` $rows^)? `:` $type attr-dict"

    def __init__(self, label: str, rows: int | None, type: Attribute) -> None:
        counted = None if rows is None else IntegerAttr(rows, i64)
        super().__init__(properties={"label": StringAttr(label), "rows": counted, "type": type})


@irdl_op_definition
class TargetOp(IRDLOperation):
    """What a program is trained towards: ``proj.target "y" classes 10 : tensor<128xi32>``.

    Without ``classes`` it holds numbers; with ``threshold 0.5`` ones and zeros, for which the outputs should
    be above it and below it; with ``of "z"`` those of that output, which may both be given in other units.
    """

    name = "proj.target"

    label = prop_def(StringAttr)
    classes = opt_prop_def(IntegerAttr.constr(i64))
    threshold = opt_prop_def(FloatAttr.constr(f64))
    output = opt_prop_def(StringAttr)
    type = prop_def(TensorType)

    assembly_format = (
        "$label (`classes` $classes^)? (`threshold` $threshold^)? (`of` $output^)? `:` $type attr-dict"
    )

    def __init__(
        self,
        label: str,
        classes: IntegerAttr | None,
        threshold: float | None,
        output: str | None,
        type: Attribute,
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "classes": classes,
                "threshold": None if threshold is None else FloatAttr(threshold, f64),
                "output": None if output is None else StringAttr(output),
                "type": type,
            }
        )

    def verify_(self) -> None:
        if self.classes is not None and self.type.get_element_type() != i32:
            raise VerifyException(f"classes are numbers of i32, found {self.type}")


@irdl_op_definition
class PartOp(IRDLOperation):
    """The projection onto all constraints of a part at once: ``proj.part "A" { ... }``."""

    name = "proj.part"

    part = prop_def(StringAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "$part attr-dict-with-keyword $body"

    def __init__(self, part: str, body: Region) -> None:
        super().__init__(properties={"part": StringAttr(part)}, regions=[body])


@irdl_op_definition
class ForOp(IRDLOperation):
    """The iterations of a loop, one after another, in the forward pass, or of a recurrence in a sweep.

    ``%zs = proj.for "t" 16 carries (%h0) over (%xs) : .. { ^body(%h: .., %x: ..): .. }``. The block gets
    what it carries and a slice of each value that it runs over, ``1/16`` of the first axis; results are the
    values that it collects, laid one after another along their first axis. ``reversed`` the last iteration is
    the first; what such a loop carries in the end stands behind that: ``.. -> (..) leaving (..)``.
    """

    name = "proj.for"

    label = prop_def(StringAttr)
    count = prop_def(IntegerAttr.constr(i64))
    reversed = opt_prop_def(UnitAttr)
    inits = var_operand_def(TensorType)
    scanned = var_operand_def(TensorType)
    collected = var_result_def(TensorType)
    left = var_result_def(TensorType)
    body = region_def("single_block")

    irdl_options = (AttrSizedOperandSegments(as_property=True), AttrSizedResultSegments(as_property=True))

    assembly_format = (
        "$label $count (`reversed` $reversed^)? `carries` `(` $inits `)` `over` `(` $scanned `)` "
        "`:` `(` type($inits) `)` `over` "
        "`(` type($scanned) `)` `->` `(` type($collected) `)` (`leaving` `(` type($left)^ `)`)? "
        "attr-dict-with-keyword $body"
    )

    def __init__(
        self,
        label: str,
        count: int,
        inits: Sequence[SSAValue],
        scanned: Sequence[SSAValue],
        types: Sequence[Attribute],
        body: Region,
        *,
        reversed: bool = False,
    ) -> None:
        super().__init__(
            operands=[list(inits), list(scanned)],
            properties={
                "label": StringAttr(label),
                "count": IntegerAttr(count, i64),
                "reversed": UnitAttr() if reversed else None,
            },
            result_types=[list(types), [value.type for value in inits] if reversed else []],
            regions=[body],
        )

    def verify_(self) -> None:
        end = self.body.block.last_op
        if not isinstance(end, NextOp):
            raise VerifyException("the body of 'proj.for' ends in 'proj.next'")
        count = self.count.value.data
        whole = [*self.scanned, *self.collected]
        carried = len(self.inits)
        parts = [*self.body.block.args[carried:], *end.collected]
        if any(value.type != each.type for value, each in zip(self.inits, end.carried, strict=True)):
            raise VerifyException("'proj.for' must keep the types of what it carries")
        wanted = [value.type for value in self.inits] if self.reversed is not None else []
        if [value.type for value in self.left] != wanted:
            raise VerifyException("a reversed 'proj.for', and no other, leaves what it carries")
        for value, part in zip(whole, parts, strict=True):
            size, *rest = shape_of(part)
            if shape_of(value) != (size * count, *rest):
                raise VerifyException(f"'proj.for' cuts {value.type} into {count} of {part.type}")


@irdl_op_definition
class NextOp(IRDLOperation):
    """What the next iteration gets, and what is collected: ``proj.next (%h) collect (%z) : ..``."""

    name = "proj.next"

    carried = var_operand_def(TensorType)
    collected = var_operand_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    traits = traits_def(IsTerminator())

    assembly_format = (
        "`(` $carried `)` `collect` `(` $collected `)` attr-dict "
        "`:` `(` type($carried) `)` `collect` `(` type($collected) `)`"
    )

    def __init__(self, carried: Sequence[SSAValue], collected: Sequence[SSAValue]) -> None:
        super().__init__(operands=[list(carried), list(collected)])


@irdl_op_definition
class IterateOp(IRDLOperation):
    """One iteration of the solver: ``proj.iterate "dr" { ^body(%x : !proj.state): ... }``."""

    name = "proj.iterate"

    solver = prop_def(StringAttr)
    body = region_def("single_block")

    assembly_format = "$solver attr-dict-with-keyword $body"

    def __init__(self, solver: str, body: Region) -> None:
        super().__init__(properties={"solver": StringAttr(solver)}, regions=[body])

    def verify_(self) -> None:
        program = self.parent_op()
        known = [part.data for part in program.parts] if isinstance(program, ProgramOp) else []
        for op in self.body.block.ops:
            if isinstance(op, OntoOp) and op.part.data not in known:
                raise VerifyException(f"there is no part '{op.part.data}'; parts are {known}")


@irdl_op_definition
class OntoOp(IRDLOperation):
    """The projection of the state onto a part: ``%p = proj.onto "B" %y``.

    A part with halfway forms is given a second state, what the other part has just agreed on:
    ``%p = proj.onto "B" %y given %a``.
    """

    name = "proj.onto"

    part = prop_def(StringAttr)
    state = operand_def(StateType())
    given = opt_operand_def(StateType())
    result = result_def(StateType())

    traits = traits_def(Pure())

    assembly_format = "$part $state (`given` $given^)? attr-dict"

    def __init__(self, part: str, state: SSAValue, given: SSAValue | None = None) -> None:
        super().__init__(
            operands=[state, given], properties={"part": StringAttr(part)}, result_types=[StateType()]
        )


@irdl_op_definition
class CombineOp(IRDLOperation):
    """A linear combination of states: ``%r = proj.combine [2.0, -1.0] %p, %x``.

    Factors do not combine: those of the first state are kept.
    """

    name = "proj.combine"

    weights = prop_def(FLOATS)
    states = var_operand_def(StateType())
    result = result_def(StateType())

    traits = traits_def(Pure())

    assembly_format = "$weights $states attr-dict `:` type($states)"

    def __init__(self, weights: Sequence[float], states: Sequence[SSAValue]) -> None:
        super().__init__(
            operands=[list(states)],
            properties={"weights": DenseArrayBase.from_list(f64, list(weights))},
            result_types=[StateType()],
        )

    def verify_(self) -> None:
        if len(self.weights) != len(self.states):
            raise VerifyException(f"{len(self.weights)} weights do not fit {len(self.states)} states")


@irdl_op_definition
class YieldOp(IRDLOperation):
    """The state after the iteration, and two states that agree at a solution: their distance is the gap.

    ``proj.yield %y gap %b, %a``, or with ``metric 1.0e-02`` where the weights of neurons in the means of what
    they agree on move by that share towards their part of the square gap.
    """

    name = "proj.yield"

    state = operand_def(StateType())
    one = operand_def(StateType())
    other = operand_def(StateType())
    metric = opt_prop_def(FloatAttr)

    traits = traits_def(IsTerminator())

    assembly_format = "$state `gap` $one `,` $other (`metric` $metric^)? attr-dict"

    def __init__(self, state: SSAValue, one: SSAValue, other: SSAValue, metric: float = 0.0) -> None:
        super().__init__(
            operands=[state, one, other],
            properties={"metric": FloatAttr(metric, f64) if metric else None},
        )


SHARDED = VariableOp | DatumOp | ParameterOp | GatherOp
"""The ops that say how their tensor is split over a mesh."""


PROJ = Dialect(
    "proj",
    [
        ProgramOp,
        InputOp,
        TargetOp,
        VariableOp,
        ForwardOp,
        PartOp,
        DatumOp,
        ForOp,
        NextOp,
        EvaluateOp,
        ReadOp,
        GatherOp,
        ProjectOp,
        ProjectLossOp,
        ProjectSetOp,
        ConstrainOp,
        ProjectSharedOp,
        ProjectHalfwayOp,
        WriteOp,
        IterateOp,
        OntoOp,
        CombineOp,
        YieldOp,
        *ASKING,
        *STREAMING,
    ],
    [PathAttr, StateType],
)

__all__ = [
    "PROJ",
    "ROLES",
    "SHARDED",
    "CombineOp",
    "ConstrainOp",
    "DatumOp",
    "EvaluateOp",
    "ForOp",
    "ForwardOp",
    "GatherOp",
    "InputOp",
    "IterateOp",
    "NextOp",
    "OntoOp",
    "PartOp",
    "PathAttr",
    "Place",
    "ProgramOp",
    "ProjectHalfwayOp",
    "ProjectLossOp",
    "ProjectOp",
    "ProjectSetOp",
    "ProjectSharedOp",
    "ReadOp",
    "Role",
    "StateType",
    "TargetOp",
    "VariableOp",
    "WriteOp",
    "YieldOp",
]
