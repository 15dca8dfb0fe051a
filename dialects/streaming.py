"""What a stream is made of: stages that all work at every tick, and what stands between them.

A network whose depth is a loop of L iterations has L + 2 stages: what stands before the loop, each iteration,
and what stands behind. A batch comes in pieces, one at a tick. At tick n stage s runs forward on piece n - s,
and answers what is asked of its value for piece n - 2(L + 1) + s. docs/design.md#streams says what that
computes.
"""

from __future__ import annotations

from typing import Literal

from xdsl.dialects.builtin import IntegerAttr, StringAttr, SymbolNameConstraint, TensorType, i64
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
)
from xdsl.traits import NoTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.asking import DisplaceOp, SweepOp
from pjc.dialects.projecting import ForwardOp
from pjc.dialects.variables import VariableOp, declared
from pjc.dialects.view import shape_of

DATA, VALUES, DEMANDS = "data", "values", "demands"
HELD = (DATA, VALUES, DEMANDS)
"""What a ring holds: the input or target of pieces, what stages hand on, or what they are asked for it."""

Home = Literal["first", "shared", "last", "everywhere"]
"""Where devices that share stages have one, or an array: at the first or the last, a part or all at each."""


def _home(count: int, start: int) -> Home:
    """Return where so many stages alike are, of which the first has a number, or what they take."""
    if count > 1:
        return "shared"
    return "first" if start == 0 else "last"


@irdl_op_definition
class RingOp(IRDLOperation):
    """What was given in the last ticks: ``proj.ring @i "values" 0 to 1 stages 8 length 17 : tensor<64xf32>``.

    Stage 0 gives it to stage 1, and each of the 8 stages from there to the next one; each stage has the last
    17 of its own. The type is that of one of them, of a piece of a batch. Of ``"data"`` every stage may read;
    ``"demands"`` go from later stages to earlier ones.
    """

    name = "proj.ring"

    sym_name = prop_def(SymbolNameConstraint())
    kind = prop_def(StringAttr)
    giver = prop_def(IntegerAttr.constr(i64))
    taker = prop_def(IntegerAttr.constr(i64))
    stages = prop_def(IntegerAttr.constr(i64))
    length = prop_def(IntegerAttr.constr(i64))
    type = prop_def(TensorType)

    assembly_format = (
        "$sym_name $kind $giver `to` $taker `stages` $stages `length` $length `:` $type attr-dict"
    )

    def __init__(
        self, name: str, kind: str, ends: tuple[int, int], stages: int, length: int, type: Attribute
    ) -> None:
        """``ends`` are the stage that gives, and the first of the ``stages`` that take."""
        giver, taker = ends
        numbers = {"giver": giver, "taker": taker, "stages": stages, "length": length}
        super().__init__(
            properties={
                "sym_name": StringAttr(name),
                "kind": StringAttr(kind),
                **{key: IntegerAttr(number, i64) for key, number in numbers.items()},
                "type": type,
            }
        )

    @property
    def label(self) -> str:
        """The name."""
        return self.sym_name.data

    @property
    def count(self) -> int:
        """How many stages have one of their own: those that take values, of data none."""
        return self.stages.value.data

    @property
    def size(self) -> int:
        """How many ticks it goes back."""
        return self.length.value.data

    @property
    def ends(self) -> tuple[int, int]:
        """The stage that gives, and the first that takes."""
        return self.giver.value.data, self.taker.value.data

    @property
    def home(self) -> Home:
        """Where it is: with those who take what it holds."""
        if self.kind.data == DATA:
            return "everywhere"
        return _home(self.count, self.ends[1])

    def verify_(self) -> None:
        if self.kind.data not in HELD:
            raise VerifyException(f"a ring holds {', '.join(HELD)}, found '{self.kind.data}'")
        if self.size < 1 or self.count < 1:
            raise VerifyException(
                f"a ring has a length and stages, found length {self.size} and {self.count} stages"
            )


@irdl_op_definition
class StageOp(IRDLOperation):
    """What one stage, or each of several alike, does at a tick: ``proj.stage "i" 1 stages 8 { ... }``.

    It holds a ``proj.forward``, of what it is handed, and a ``proj.sweep``, of what it was handed when the
    piece came by that it is asked about now. Tensors are those of one stage, and of one piece of a batch.
    """

    name = "proj.stage"

    label = prop_def(StringAttr)
    first = prop_def(IntegerAttr.constr(i64))
    stages = prop_def(IntegerAttr.constr(i64))
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "$label $first `stages` $stages attr-dict-with-keyword $body"

    def __init__(self, label: str, first: int, stages: int, body: Region) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "first": IntegerAttr(first, i64),
                "stages": IntegerAttr(stages, i64),
            },
            regions=[body],
        )

    @property
    def start(self) -> int:
        """The number of the first of the stages."""
        return self.first.value.data

    @property
    def count(self) -> int:
        """How many stages it stands for."""
        return self.stages.value.data

    @property
    def home(self) -> Home:
        """Which devices work at it, or at the several that it stands for."""
        return _home(self.count, self.start)

    def forward_op(self) -> ForwardOp:
        """Return the forward pass."""
        return next(op for op in self.body.block.ops if isinstance(op, ForwardOp))

    def sweep_op(self) -> SweepOp:
        """Return the sweep."""
        return next(op for op in self.body.block.ops if isinstance(op, SweepOp))

    def verify_(self) -> None:
        names = [op.name for op in self.body.block.ops]
        if names != [ForwardOp.name, SweepOp.name]:
            raise VerifyException(
                f"a stage is a {ForwardOp.name} and a {SweepOp.name}, found {', '.join(names)}"
            )

    def verify_displaced(self, variables: dict[str, VariableOp]) -> None:
        """Raise unless what the stages displace are slots with a first axis that the stages share evenly."""
        for op in self.walk():
            if isinstance(op, DisplaceOp):
                found = declared(op.variable.data, variables)
                size, *rest = shape_of(found.type)
                own, *others = shape_of(op.displacement)
                if found.role.data != "slot" or (own * self.count, others) != (size, rest):
                    raise VerifyException(
                        f"{self.count} stages displace '@{op.variable.data}', of {found.type}, by "
                        f"{op.displacement.type} each"
                    )


class _OfRing(IRDLOperation):
    """What reads or writes a ring."""

    ring = prop_def(SymbolNameConstraint())

    def verify_ring(self, rings: dict[str, RingOp]) -> None:
        """Raise unless the ring is declared, of the type of what goes in or comes out."""
        name, values = self.ring.data, [*self.operands, *self.results]
        if name not in rings:
            raise VerifyException(f"ring '@{name}' is not declared")
        if rings[name].type != values[0].type:
            raise VerifyException(f"ring '@{name}' holds {rings[name].type}, found {values[0].type}")


@irdl_op_definition
class TakeOp(_OfRing):
    """What a stage was handed, or is asked: ``%h = proj.take @i : tensor<1x64x128xf32>``.

    In a stage's forward pass the newest; in its sweep, of values, what it had for the piece in question.
    """

    name = "proj.take"

    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$ring attr-dict `:` type($result)"

    def __init__(self, ring: str, type: Attribute) -> None:
        super().__init__(properties={"ring": StringAttr(ring)}, result_types=[type])


@irdl_op_definition
class HandOp(_OfRing):
    """What a stage hands on: ``proj.hand %h to @i : tensor<1x64x128xf32>``, to be taken at later ticks.

    Values go to the stages behind, demands to those before. Of several stages alike each hands to the next
    of them; to others only the one at the end does.
    """

    name = "proj.hand"

    value = operand_def(TensorType)

    assembly_format = "$value `to` $ring attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, ring: str) -> None:
        super().__init__(operands=[value], properties={"ring": StringAttr(ring)})


STREAMING = (RingOp, StageOp, TakeOp, HandOp)
