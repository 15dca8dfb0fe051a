"""The losses of the language: a name, what its arguments are, what it builds: an op without a result."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Operation

from pjc.dialects import ops
from pjc.frontends.binding import Given
from pjc.frontends.builtins import Function, entry
from pjc.frontends.convert import number, positive, tensor
from pjc.frontends.emitter import Site
from pjc.frontends.values import Mistake, TargetValue, Tensor, describe

LOSSES: dict[str, Function] = {}


def _class_target(given: Given) -> TargetValue:
    """A class target."""
    value = given.value
    if not isinstance(value, TargetValue):
        raise Mistake(f"expected a target, found {describe(value)}", "losses take (logits, target)",
                      given.span)  # fmt: skip
    if value.classes is None:
        hint = f"declare it as 'target {value.name}: class[...]'"
        raise Mistake(f"expected a class target, found {value}", hint, given.span)
    return value


def _check_logits(name: str, logits: Tensor, target: TargetValue) -> None:
    """Raise if the logits are not the target's dimensions and then its classes."""
    shape: Sequence[int] = target.ssa.type.get_shape()  # type: ignore[attr-defined]
    if logits.shape == (*shape, target.classes):
        return
    hint = None
    if logits.rank and logits.shape[:-1] == tuple(shape):
        hint = f"the last dimension must be the number of classes, {target.classes}"
    raise Mistake(
        f"{name} compares logits {logits} with the target '{target.name}' of {target}; "
        "their dimensions differ",
        hint,
    )


def _number_target(given: Given) -> TargetValue:
    """A target of numbers; an input can be one too."""
    value = given.value
    if isinstance(value, Tensor) and isinstance(value.ssa.owner, ops.InputOp):
        return TargetValue(value.ssa.owner.label.data, value.ssa, value.names, None)
    if not isinstance(value, TargetValue):
        raise Mistake(f"expected a target, found {describe(value)}", "losses take (value, target)",
                      given.span)  # fmt: skip
    if value.classes is not None:
        hint = f"declare it as 'target {value.name}: f32[...]'"
        raise Mistake(f"expected a target of numbers, found {value}", hint, given.span)
    return value


def _check_value(name: str, value: Tensor, target: TargetValue) -> None:
    """Raise if the value has not the target's dimensions."""
    shape = tuple(target.ssa.type.get_shape())  # type: ignore[attr-defined]
    if value.shape == shape:
        return
    hint = "squeeze takes the last axis away" if value.shape == (*shape, 1) else None
    raise Mistake(
        f"{name} compares {value} with the target '{target.name}' of {target}; their dimensions differ", hint
    )


@entry(LOSSES, "cross_entropy", logits=tensor, target=_class_target, strength=positive)
def _cross_entropy(site: Site, logits: Tensor, target: TargetValue, strength: float = 1.0) -> Operation:
    _check_logits("cross_entropy", logits, target)
    return ops.CrossEntropyOp(logits.ssa, target.ssa, strength)


@entry(LOSSES, "margin", logits=tensor, target=_class_target, low=number, high=number)
def _margin(
    site: Site, logits: Tensor, target: TargetValue, low: float = 0.0, high: float = 1.0
) -> Operation:
    _check_logits("margin", logits, target)
    _check_bounds("margin", low, high)
    return ops.MarginOp(logits.ssa, target.ssa, low, high)


@entry(LOSSES, "class_margin", logits=tensor, target=_class_target, margin=positive)
def _class_margin(site: Site, logits: Tensor, target: TargetValue, margin: float = 1.0) -> Operation:
    _check_logits("class_margin", logits, target)
    return ops.ClassMarginOp(logits.ssa, target.ssa, margin)


@entry(LOSSES, "hinge", logits=tensor, target=_class_target, strength=positive)
def _hinge(site: Site, logits: Tensor, target: TargetValue, strength: float = 1.0) -> Operation:
    _check_logits("hinge", logits, target)
    return ops.HingeOp(logits.ssa, target.ssa, strength)


@entry(LOSSES, "multi_label", logits=tensor, target=_number_target, low=number, high=number)
def _multi_label(
    site: Site, logits: Tensor, target: TargetValue, low: float = 0.0, high: float = 1.0
) -> Operation:
    _check_value("multi_label", logits, target)
    _check_bounds("multi_label", low, high)
    return ops.MultiLabelOp(logits.ssa, target.ssa, low, high)


@entry(LOSSES, "squared_error", value=tensor, target=_number_target, strength=positive)
def _squared_error(site: Site, value: Tensor, target: TargetValue, strength: float = 1.0) -> Operation:
    _check_value("squared_error", value, target)
    return ops.SquaredErrorOp(value.ssa, target.ssa, strength)


@entry(LOSSES, "equal", value=tensor, target=_number_target)
def _equal(site: Site, value: Tensor, target: TargetValue) -> Operation:
    _check_value("equal", value, target)
    return ops.EqualOp(value.ssa, target.ssa)


def _check_bounds(name: str, low: float, high: float) -> None:
    if low > high:
        raise Mistake(f"{name} needs low <= high, found low = {low} and high = {high}")
