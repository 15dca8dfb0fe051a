"""What a sweep does: what losses demand of values, what nodes ask of their inputs for it, and what of that
arrives at the parameters.

Tensors here are *demands* and *responses*: displacements, of the type of what they are to be added to. Where
a tensor has samples, ``samples [axis, inner]`` says where: entry ``i`` of the axis belongs to sample ``(i //
inner) % batch``. Where it has the steps of a loop, ``steps 16`` says how many share its first axis.
docs/design.md#sweeps says what all of this computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from xdsl.dialects.builtin import (
    DictionaryAttr,
    FloatAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    UnitAttr,
    f64,
    i64,
)
from xdsl.ir import Attribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
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
from xdsl.traits import NoTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.forms import TREATMENTS
from pjc.dialects.projecting import NodeWork, work
from pjc.dialects.set_fields import verify_set
from pjc.dialects.shapes import Shape, ShapeError
from pjc.dialects.steps import Rows, Step
from pjc.dialects.variables import VariableOp, declared
from pjc.dialects.view import SIZES, StepAttr, shape_of, sizes

PLACES_OF_SAMPLES = {"samples", "demand_samples", "everywhere"}
"""The properties that say where samples are, by their names in every op that has them."""


class Sampled(IRDLOperation):
    """What stands at the samples of a batch."""

    samples = opt_prop_def(SIZES)

    @property
    def rows(self) -> Rows | None:
        """Where the samples are; None where there are none."""
        return None if self.samples is None else Rows(*self.samples.get_values())

    def verify_rows(self, shape: Shape) -> None:
        """Raise unless a tensor of a shape can have such samples."""
        if self.samples is not None:
            found = list(self.samples.get_values())
            if len(found) != 2 or not 0 <= found[0] < len(shape) or found[1] < 1:
                raise VerifyException(
                    f"samples are an axis and how many of its entries follow each other with one sample; "
                    f"found {found} for a tensor of shape {shapes.show(shape)}"
                )


class Stepped(Sampled):
    """What stands at the samples of a batch, and at the steps of a loop."""

    steps = opt_prop_def(IntegerAttr.constr(i64))

    @property
    def count(self) -> int:
        """How many steps of a loop share the first axis."""
        return 1 if self.steps is None else self.steps.value.data

    def verify_rows(self, shape: Shape) -> None:
        """Raise unless a tensor of a shape can have such samples and steps."""
        super().verify_rows(shape)
        if self.count < 1 or (self.count > 1 and (not shape or shape[0] % self.count)):
            raise VerifyException(f"{self.count} steps do not share the first axis of {shapes.show(shape)}")


def sampled(rows: Rows | None) -> Attribute | None:
    """Return the property that says where samples are."""
    return None if rows is None else sizes([rows.axis, rows.inner])


def stepped(steps: int) -> Attribute | None:
    """Return the property that says how many steps there are."""
    return None if steps == 1 else IntegerAttr(steps, i64)


@irdl_op_definition
class SweepOp(IRDLOperation):
    """One sweep, outputs first, from what the forward pass left: ``proj.sweep "sweep" { ... }``."""

    name = "proj.sweep"

    solver = prop_def(StringAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "$solver attr-dict-with-keyword $body"

    def __init__(self, solver: str, body: Region) -> None:
        super().__init__(properties={"solver": StringAttr(solver)}, regions=[body])


@irdl_op_definition
class ValueOp(IRDLOperation):
    """The value of a node in the forward pass, at all steps: ``%z = proj.value "h" : tensor<4x3xf32>``."""

    name = "proj.value"

    node = prop_def(StringAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$node attr-dict `:` type($result)"

    def __init__(self, node: str, type: Attribute) -> None:
        super().__init__(properties={"node": StringAttr(node)}, result_types=[type])


@irdl_op_definition
class DemandOp(NodeWork, Sampled):
    """What a loss demands of a value: its prox (or projection) less the value.

    ``%d = proj.demand "cross_entropy" {..} %z given %y of "loss" samples [0, 1] : ..``. Where there are
    weights of samples, it is times those.
    """

    name = "proj.demand"

    value = operand_def(TensorType)
    target = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $value `given` $target `of` $node (`samples` $samples^)? "
        "attr-dict `:` type($value) `given` type($target) `->` type($result)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        value: SSAValue,
        target: SSAValue,
        rows: Rows | None,
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={**work(operator, fields, node), "samples": sampled(rows)},
            result_types=[value.type],
        )

    def verify_(self) -> None:
        _verify_like(self, self.result, self.value)
        self.verify_rows(shape_of(self.value))


@irdl_op_definition
class DemandInSetOp(Sampled):
    """What a set demands of a value: its projection less the value.

    ``%d = proj.demand_in_set "nonneg" {} %h of "h.nonneg" samples [0, 1] : tensor<4x3xf32>``
    """

    name = "proj.demand_in_set"

    kind = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    value = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$kind $fields $value `of` $node (`samples` $samples^)? attr-dict `:` type($value) `->` type($result)"
    )

    def __init__(
        self, kind: str, fields: dict[str, Attribute], node: str, value: SSAValue, rows: Rows | None
    ) -> None:
        super().__init__(
            operands=[value],
            properties={
                "kind": StringAttr(kind),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
                "samples": sampled(rows),
            },
            result_types=[value.type],
        )

    def verify_(self) -> None:
        _verify_like(self, self.result, self.value)
        self.verify_rows(shape_of(self.value))
        verify_set(self.kind.data, self.fields.data, shape_of(self.value))


@irdl_op_definition
class RespondOp(NodeWork, Stepped):
    """What a node asks of its inputs, so that its value moves as demanded: the response ``s D``.

    ``%a, %b = proj.respond "sum_relu" {..} (%z, %w) demand %d of "h" weight 0.001 : ..``. The value weighs
    ``weight`` where an input weighs 1; with ``relative`` so much over the square of the mean of sqrt(|a|^2 +
    |b|^2), for products of two inputs, each site of which has its own copies. For an operator of the user's
    own with the shapes of one site: ``at "[n] -> [n]"``.
    """

    name = "proj.respond"

    weight = prop_def(FloatAttr.constr(f64))
    relative = opt_prop_def(UnitAttr)
    signature = opt_prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    demand = operand_def(TensorType)
    responses = var_result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $inputs `)` `demand` $demand (`at` $signature^)? `of` $node "
        "`weight` $weight (`relative` $relative^)? (`samples` $samples^)? (`steps` $steps^)? attr-dict "
        "`:` `(` type($inputs) `)` `demand` type($demand) `->` `(` type($responses) `)`"
    )

    def __init__(
        self,
        like: tuple[str, dict[str, Attribute], str],
        inputs: Sequence[SSAValue],
        demand: SSAValue,
        weight: float,
        *,
        relative: bool = False,
        rows: Rows | None = None,
        steps: int = 1,
        signature: StringAttr | None = None,
    ) -> None:
        """``like`` are the operator, its fields and the node."""
        super().__init__(
            operands=[list(inputs), demand],
            properties={
                **work(*like),
                "weight": FloatAttr(weight, f64),
                "relative": UnitAttr() if relative else None,
                "signature": signature,
                "samples": sampled(rows),
                "steps": stepped(steps),
            },
            result_types=[[each.type for each in inputs]],
        )

    def verify_(self) -> None:
        for response, value in zip(self.responses, self.inputs, strict=True):
            _verify_like(self, response, value)
        _verify_weight(self.weight)
        self.verify_rows(shape_of(self.demand))


@irdl_op_definition
class NormsOp(NodeWork, Stepped):
    """The squared norms of what the sites of a dot or a convolution multiply, and what they are on average.

    ``%l, %r, %i, %s = proj.norms "dot" {} (%a, %w) of "dense" steps 16 : ..``: with q = |a|^2 + |w|^2 of a
    site, both parts of it, each in a shape that broadcasts to the sites; and with n^2 = (mean |a|)^2 + (mean
    |w|)^2 at each step 1 / n: all of operands times one scale, and that scale.
    """

    name = "proj.norms"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    lhs_part = result_def(TensorType)
    rhs_part = result_def(TensorType)
    inverse = result_def(TensorType)
    scale = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $lhs `,` $rhs `)` `of` $node (`samples` $samples^)? (`steps` $steps^)? "
        "attr-dict `:` type($lhs) `,` type($rhs) `->` type($lhs_part) `,` type($rhs_part) `,` "
        "type($inverse) `,` type($scale)"
    )

    def __init__(
        self,
        like: tuple[str, dict[str, Attribute], str],
        operands: tuple[SSAValue, SSAValue],
        shapes: tuple[Shape, Shape, Shape],
        rows: Rows | None,
        steps: int,
    ) -> None:
        """``like`` are operator, fields and node; ``shapes`` those of both parts and of a mean."""
        lhs, rhs = operands
        one, other, mean = shapes
        assert isinstance(lhs.type, TensorType)
        element = lhs.type.get_element_type()
        super().__init__(
            operands=[lhs, rhs],
            properties={**work(*like), "samples": sampled(rows), "steps": stepped(steps)},
            result_types=[TensorType(element, list(shape)) for shape in (one, other, mean, mean)],
        )

    def verify_(self) -> None:
        steps = self.count
        for part in (self.lhs_part, self.rhs_part):
            if 1 not in shape_of(part) and len(shape_of(part)) > 1:
                raise VerifyException(f"a part of the norms is the same along an axis, found {part.type}")
        if self.inverse.type != self.scale.type or shape_of(self.scale)[:1] != (steps,):
            raise VerifyException(
                f"the means of norms at {steps} steps have that many entries, found {self.inverse.type} and "
                f"{self.scale.type}"
            )


@irdl_op_definition
class MultipliersOp(NodeWork):
    """The multipliers of a dot or a convolution whose value is to move as demanded, one pair for each site.

    ``%s, %r = proj.multipliers "dot" {} %z demand %d norms (%l, %r, %i, %m) of "dense" weight 0.1 : ..``:
    with the root t of runtime/projections/bilinear_response.py, R = 1 / (1 - t^2) and the gain s, the results
    are s t R and s t^2 R.
    """

    name = "proj.multipliers"

    weight = prop_def(FloatAttr.constr(f64))
    value = operand_def(TensorType)
    demand = operand_def(TensorType)
    lhs_part = operand_def(TensorType)
    rhs_part = operand_def(TensorType)
    inverse = operand_def(TensorType)
    scale = operand_def(TensorType)
    sigma = result_def(TensorType)
    rho = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $value `demand` $demand `norms` `(` $lhs_part `,` $rhs_part `,` $inverse "
        "`,` $scale `)` "
        "`of` $node `weight` $weight attr-dict `:` type($value) `demand` type($demand) `norms` `(` "
        "type($lhs_part) `,` type($rhs_part) `,` type($inverse) `,` type($scale) `)` `->` type($sigma) `,` "
        "type($rho)"
    )

    def __init__(
        self,
        like: tuple[str, dict[str, Attribute], str],
        value: SSAValue,
        demand: SSAValue,
        norms: Sequence[SSAValue],
        weight: float,
    ) -> None:
        """``like`` are the operator, its fields and the node."""
        super().__init__(
            operands=[value, demand, *norms],
            properties={**work(*like), "weight": FloatAttr(weight, f64)},
            result_types=[value.type, value.type],
        )

    def verify_(self) -> None:
        for each in (self.demand, self.sigma, self.rho):
            _verify_like(self, each, self.value)
        for norm in (self.lhs_part, self.rhs_part):
            if not _broadcasts(shape_of(norm), shape_of(self.value)):
                raise VerifyException(f"norms of {norm.type} are not of the sites of {self.value.type}")
        _verify_weight(self.weight)


@irdl_op_definition
class RespondSharedOp(NodeWork):
    """What a dot or a convolution asks of one of its inputs, by its multipliers; no copies are made.

    ``%a = proj.respond_shared "dot" {} (%x, %w) by (%s, %r) operand 0 of "dense" : ..``
    """

    name = "proj.respond_shared"

    operand_index = prop_def(IntegerAttr.constr(i64))
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    sigma = operand_def(TensorType)
    rho = operand_def(TensorType)
    response = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $lhs `,` $rhs `)` `by` `(` $sigma `,` $rho `)` `operand` $operand_index "
        "`of` $node attr-dict `:` type($lhs) `,` type($rhs) `by` type($sigma) `,` type($rho) `->` "
        "type($response)"
    )

    def __init__(
        self,
        like: tuple[str, dict[str, Attribute], str],
        operands: tuple[SSAValue, SSAValue],
        multipliers: Sequence[SSAValue],
        operand: int,
    ) -> None:
        """``like`` are the operator, its fields and the node."""
        super().__init__(
            operands=[*operands, *multipliers],
            properties={**work(*like), "operand_index": IntegerAttr(operand, i64)},
            result_types=[operands[operand].type],
        )

    def verify_(self) -> None:
        index = self.operand_index.value.data
        if index not in (0, 1):
            raise VerifyException(f"the operands are 0 and 1, found {index}")
        _verify_like(self, self.response, (self.lhs, self.rhs)[index])
        _verify_like(self, self.rho, self.sigma)


@irdl_op_definition
class CollectOp(IRDLOperation):
    """What is asked of an operand of a view: of each entry, what is asked of all its copies, added up.

    ``%d = proj.collect %r through <broadcast [4, 3] [1]> : tensor<4x3xf32> -> tensor<3xf32>``, the transpose
    of the step. Rows that were taken by number go back ``at %tokens``.
    """

    name = "proj.collect"

    step = prop_def(StepAttr)
    asked = operand_def(TensorType)
    indices = opt_operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$asked `through` $step (`at` $indices^ `:` type($indices))? attr-dict "
        "`:` type($asked) `->` type($result)"
    )

    def __init__(self, asked: SSAValue, step: Step, type: Attribute, indices: SSAValue | None = None) -> None:
        super().__init__(operands=[asked, indices], properties={"step": StepAttr(step)}, result_types=[type])

    def verify_(self) -> None:
        step = self.step.data
        try:
            expected = step.result_shape(shape_of(self.result))
        except ShapeError as error:
            raise VerifyException(f"'{self.name}': {error}") from error
        if expected != shape_of(self.asked):
            raise VerifyException(
                f"step '{step}' of {self.result.type} leads to shape {shapes.show(expected)}, found "
                f"{self.asked.type}"
            )
        if (step.datum() is None) != (self.indices is None):
            raise VerifyException(f"step '{step}' takes rows by number if, and only if, it is 'at' indices")


@irdl_op_definition
class AddOp(IRDLOperation):
    """What several readers ask of one value, added up: ``%d = proj.add %a, %b : tensor<4x3xf32>``."""

    name = "proj.add"

    one = operand_def(TensorType)
    other = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$one `,` $other attr-dict `:` type($one) `,` type($other) `->` type($result)"

    def __init__(self, one: SSAValue, other: SSAValue) -> None:
        super().__init__(operands=[one, other], result_types=[one.type])

    def verify_(self) -> None:
        _verify_like(self, self.one, self.other)
        _verify_like(self, self.result, self.one)


@irdl_op_definition
class BoundOp(Stepped):
    """What a product asks of a value, bounded: as a whole, or at each step of a loop as a whole.

    ``%b = proj.bound "cap" %r samples [0, 1] steps 16 to %d samples [0, 1] steps 16 : .. to ..``:
    scaled down to the norm of what the product itself was asked, where it is larger; that has as many steps,
    or fewer, each of which counts for the next few. ``"unit"``: scaled to a fixed root mean square, over the
    entries at a step. ``"power"``: scaled to one that follows that of the demand, to the power of 2/3.
    """

    name = "proj.bound"

    treatment = prop_def(StringAttr)
    demand_samples = opt_prop_def(SIZES)
    demand_steps = opt_prop_def(IntegerAttr.constr(i64))
    asked = operand_def(TensorType)
    demand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$treatment $asked (`samples` $samples^)? (`steps` $steps^)? "
        "`to` $demand (`samples` $demand_samples^)? (`steps` $demand_steps^)? attr-dict "
        "`:` type($asked) `to` type($demand) `->` type($result)"
    )

    def __init__(
        self,
        treatment: str,
        tensors: tuple[SSAValue, SSAValue],
        rows: tuple[Rows | None, Rows | None],
        steps: tuple[int, int],
    ) -> None:
        """``tensors`` are what is asked, and the demand; ``rows`` and ``steps`` are theirs."""
        super().__init__(
            operands=list(tensors),
            properties={
                "treatment": StringAttr(treatment),
                "demand_samples": sampled(rows[1]),
                "demand_steps": stepped(steps[1]),
                "samples": sampled(rows[0]),
                "steps": stepped(steps[0]),
            },
            result_types=[tensors[0].type],
        )

    @property
    def demand_rows(self) -> Rows | None:
        """Where the samples of the demand are."""
        return None if self.demand_samples is None else Rows(*self.demand_samples.get_values())

    @property
    def demand_count(self) -> int:
        """How many steps of a loop share the demand's first axis."""
        return 1 if self.demand_steps is None else self.demand_steps.value.data

    def verify_(self) -> None:
        if self.treatment.data not in TREATMENTS:
            raise VerifyException(f"treatments are {', '.join(TREATMENTS)}, found '{self.treatment.data}'")
        _verify_like(self, self.result, self.asked)
        self.verify_rows(shape_of(self.asked))
        if self.count % self.demand_count or shape_of(self.demand)[:1] < (self.demand_count,):
            raise VerifyException(
                f"what is asked has {self.count} steps, and its demand, of {self.demand.type}, has "
                f"{self.demand_count}"
            )


Manner = Literal["mean", "total"]


@irdl_op_definition
class OverSamplesOp(IRDLOperation):
    """What all samples ask of one value that they share: ``%d = proj.over_samples "mean" %r : ..``.

    What the samples here ask is added up already. ``mean`` is over the weights of all samples; with
    ``everywhere`` what other devices' samples ask is added first.
    """

    name = "proj.over_samples"

    manner = prop_def(StringAttr)
    everywhere = opt_prop_def(UnitAttr)
    asked = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$manner (`everywhere` $everywhere^)? $asked attr-dict `:` type($asked) `->` type($result)"
    )

    def __init__(self, manner: Manner, asked: SSAValue, everywhere: bool) -> None:
        super().__init__(
            operands=[asked],
            properties={
                "manner": StringAttr(manner),
                "everywhere": UnitAttr() if everywhere else None,
            },
            result_types=[asked.type],
        )

    def verify_(self) -> None:
        if self.manner.data not in ("mean", "total"):
            raise VerifyException(f"the manner is mean or total, found '{self.manner.data}'")
        _verify_like(self, self.result, self.asked)


@irdl_op_definition
class DisplaceOp(IRDLOperation):
    """By what a parameter is to move: ``proj.displace @w.slot %d : tensor<3x4xf32>``."""

    name = "proj.displace"

    variable = prop_def(SymbolNameConstraint())
    displacement = operand_def(TensorType)

    assembly_format = "$variable $displacement attr-dict `:` type($displacement)"

    def __init__(self, variable: str, displacement: SSAValue) -> None:
        super().__init__(operands=[displacement], properties={"variable": StringAttr(variable)})

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise unless the variable is a slot of that type."""
        found = declared(self.variable.data, variables)
        if found.role.data != "slot" or found.type != self.displacement.type:
            raise VerifyException(
                f"'@{self.variable.data}' is no slot of {self.displacement.type}, but "
                f"'{found.role.data}' of {found.type}"
            )


ASKING = (
    SweepOp,
    ValueOp,
    DemandOp,
    DemandInSetOp,
    RespondOp,
    NormsOp,
    MultipliersOp,
    RespondSharedOp,
    CollectOp,
    AddOp,
    BoundOp,
    OverSamplesOp,
    DisplaceOp,
)


def _broadcasts(shape: Shape, to: Shape) -> bool:
    """Whether a tensor of one shape broadcasts to another."""
    try:
        return shapes.broadcast_together([shape, to]) == to
    except ShapeError:
        return False


def _verify_like(op: IRDLOperation, one: SSAValue, other: SSAValue) -> None:
    if one.type != other.type:
        raise VerifyException(
            f"'{op.name}' takes and gives tensors of one type, found {one.type} and {other.type}"
        )


def _verify_weight(weight: FloatAttr) -> None:
    if not weight.value.data > 0:
        raise VerifyException(f"a value weighs more than 0, found {weight.value.data}")
