"""What a network requires: losses, given targets, and sets that values are to be in."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from xdsl.dialects.builtin import (
    DictionaryAttr,
    FloatAttr,
    StringAttr,
    TensorType,
    f64,
    i32,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
)
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.nodes import FLOATS, NodeOp, TargetOp, declared, floats, labelled
from pjc.dialects.set_fields import lifted, verify_set
from pjc.dialects.view import ViewOp, element_of, shape_of


class LossOp(NodeOp, ABC):
    """A training requirement on its first operand, given its second, the target.

    Class targets ``[*sites]`` belong to logits ``[*sites, C]``; numeric ones have the value's own shape.
    """

    NUMERIC: ClassVar[bool] = False

    value = operand_def(TensorType)
    target = operand_def(TensorType)

    def verify_(self) -> None:
        shape = shape_of(self.value)
        expected = shape if self.NUMERIC else shape[:-1]
        element = element_of(self.value) if self.NUMERIC else i32
        if shape_of(self.target) != expected or element_of(self.target) != element:
            kind = "numeric" if self.NUMERIC else "class"
            raise VerifyException(
                f"'{self.name}' on values of shape {shapes.show(shape)} needs {kind} "
                f"targets of shape {shapes.show(expected)}, found {self.target.type}"
            )
        classes = None if self.NUMERIC else _classes_of(self.target)
        if classes is not None and classes != shape[-1]:
            raise VerifyException(
                f"'{self.name}' on values of shape {shapes.show(shape)} needs {shape[-1]} classes, "
                f"found {classes}"
            )


def _classes_of(value: SSAValue) -> int | None:
    """Return how many classes a target has, through views; None if that is not known here."""
    while isinstance(value.owner, ViewOp):
        value = value.owner.operands[0]
    owner = value.owner
    return owner.classes.value.data if isinstance(owner, TargetOp) and owner.classes is not None else None


class _StrengthLossOp(LossOp, ABC):
    """The prox of a function times a strength."""

    strength = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $value `,` $target `strength` $strength (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self, value: SSAValue, target: SSAValue, strength: float = 1.0, label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "strength": FloatAttr(strength, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"strength": self.strength}

    def verify_(self) -> None:
        super().verify_()
        if not self.strength.value.data > 0:
            raise VerifyException(f"strength must be positive, found {self.strength.value.data}")


@irdl_op_definition
class CrossEntropyOp(_StrengthLossOp):
    """The prox of ``strength`` times the cross-entropy of the logits ``[*sites, C]``.

    ``op.cross_entropy "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.cross_entropy"


@irdl_op_definition
class HingeOp(_StrengthLossOp):
    """The prox of ``strength`` times the hinge loss of each class of the logits ``[*sites, C]`` against the
    rest.

    ``op.hinge "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.hinge"


@irdl_op_definition
class SquaredErrorOp(_StrengthLossOp):
    """The prox of ``strength / 2`` times the squared error.

    ``op.squared_error "loss" %z, %y strength 1.0 : ...``
    """

    name = "op.squared_error"
    NUMERIC: ClassVar[bool] = True


class BoundsLossOp(LossOp, ABC):
    """A loss that wants logits at least as high as one bound, or at most as high as another."""

    bounds = prop_def(FLOATS)

    assembly_format = (
        "($label^)? $value `,` $target `in` $bounds (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self,
        value: SSAValue,
        target: SSAValue,
        low: float = 0.0,
        high: float = 1.0,
        label: str | None = None,
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "bounds": floats([low, high])},
        )

    def fields(self) -> dict[str, Attribute]:
        low, high = self.bounds.get_values()
        return {"low": FloatAttr(low, f64), "high": FloatAttr(high, f64)}

    def verify_(self) -> None:
        super().verify_()
        if len(self.bounds) != 2:
            raise VerifyException(f"a margin takes two bounds, found {len(self.bounds)}")

    @property
    def threshold(self) -> float:
        """What tells values above the one bound from those below the other: the middle between them."""
        low, high = self.bounds.get_values()
        return float((low + high) / 2)


@irdl_op_definition
class MarginOp(BoundsLossOp):
    """``{z : z_right >= high, z_wrong <= low}``: ``op.margin "loss" %z, %y in [0.0, 1.0] : ...``."""

    name = "op.margin"


@irdl_op_definition
class MultiLabelOp(BoundsLossOp):
    """``{z : z >= high where y = 1, z <= low where y = 0}``.

    ``op.multi_label "loss" %z, %y in [0.0, 1.0] : ...``
    """

    name = "op.multi_label"
    NUMERIC: ClassVar[bool] = True


@irdl_op_definition
class ClassMarginOp(LossOp):
    """``{z : z_right >= z_wrong + margin}``: ``op.class_margin "loss" %z, %y by 1.0 : ...``."""

    name = "op.class_margin"

    margin = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "($label^)? $value `,` $target `by` $margin (`part` $part^)? attr-dict "
        "`:` type($value) `,` type($target)"
    )

    def __init__(
        self, value: SSAValue, target: SSAValue, margin: float = 1.0, label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value, target],
            properties={"label": labelled(label), "margin": FloatAttr(margin, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"margin": self.margin}


@irdl_op_definition
class EqualOp(LossOp):
    """``{z : z = y}``: ``op.equal "loss" %z, %y : ...``."""

    name = "op.equal"
    NUMERIC: ClassVar[bool] = True

    assembly_format = (
        "($label^)? $value `,` $target (`part` $part^)? attr-dict `:` type($value) `,` type($target)"
    )

    def __init__(self, value: SSAValue, target: SSAValue, label: str | None = None) -> None:
        super().__init__(operands=[value, target], properties={"label": labelled(label)})


@irdl_op_definition
class SetOp(NodeOp):
    """``{x : x in a set}``: ``op.set "w.box" %w in "box" {low = -1.0 : f64, high = 1.0 : f64} : ...``.

    The sets and their fields are those of ``dialects/sets.py``.
    """

    name = "op.set"

    value = operand_def(TensorType)
    kind = prop_def(StringAttr)
    described = prop_def(DictionaryAttr)

    assembly_format = "($label^)? $value `in` $kind $described (`part` $part^)? attr-dict `:` type($value)"

    def __init__(
        self, value: SSAValue, kind: str, described: Mapping[str, Attribute], label: str | None = None
    ) -> None:
        super().__init__(
            operands=[value],
            properties={
                "label": labelled(label),
                "kind": StringAttr(kind),
                "described": DictionaryAttr(dict(described)),
            },
        )

    def fields(self) -> dict[str, Attribute]:
        return dict(self.described.data)

    def lifted_properties(self, lift: int) -> dict[str, Attribute]:
        return {"described": DictionaryAttr(lifted(self.fields(), lift))}

    def verify_(self) -> None:
        verify_set(self.kind.data, self.described.data, shape_of(self.value))


LOSSES: tuple[type[LossOp], ...] = declared(LossOp, globals())
