"""What training requires of values: losses, which compare with targets, and sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pjc.builder.place import Place
from pjc.builder.sets import arguments
from pjc.builder.values import Target, Tensor
from pjc.dialects import ops
from pjc.dialects.set_fields import described
from pjc.dialects.shapes import ShapeError


class Losses(Place):
    """Requires values to be near targets.

    Losses of classes take logits with the target's axes and then the classes; losses of numbers take values
    of the target's shape, and an input may be their target too.
    """

    def require_cross_entropy(self, logits: Tensor, target: Target, strength: float = 1.0) -> None:
        """Require a small cross-entropy of the softmax of the logits; ``strength`` is positive."""
        _check_logits("cross_entropy", logits, target)
        self._require(ops.CrossEntropyOp(logits.ssa, target.ssa, strength))

    def require_margin(self, logits: Tensor, target: Target, low: float = 0.0, high: float = 1.0) -> None:
        """Require the right logit to be at least ``high``, the others at most ``low``."""
        _check_logits("margin", logits, target)
        _check_bounds("margin", low, high)
        self._require(ops.MarginOp(logits.ssa, target.ssa, low, high))

    def require_class_margin(self, logits: Tensor, target: Target, margin: float = 1.0) -> None:
        """Require the right logit to be above the others by ``margin``, which is positive."""
        _check_logits("class_margin", logits, target)
        if not margin > 0:
            raise ShapeError(f"class_margin needs a positive margin, found {margin:g}")
        self._require(ops.ClassMarginOp(logits.ssa, target.ssa, margin))

    def require_hinge(self, logits: Tensor, target: Target, strength: float = 1.0) -> None:
        """Require a small hinge loss of each class against the rest; ``strength`` is positive."""
        _check_logits("hinge", logits, target)
        self._require(ops.HingeOp(logits.ssa, target.ssa, strength))

    def require_multi_label(
        self, logits: Tensor, target: Target | Tensor, low: float = 0.0, high: float = 1.0
    ) -> None:
        """Require logits of at least ``high`` where the target is 1, of at most ``low`` where it is 0."""
        found = _numbers("multi_label", logits, target)
        _check_bounds("multi_label", low, high)
        self._require(ops.MultiLabelOp(logits.ssa, found.ssa, low, high))

    def require_squared_error(self, value: Tensor, target: Target | Tensor, strength: float = 1.0) -> None:
        """Require a small squared distance from the target; ``strength`` is positive."""
        found = _numbers("squared_error", value, target)
        self._require(ops.SquaredErrorOp(value.ssa, found.ssa, strength))

    def require_equal(self, value: Tensor, target: Target | Tensor) -> None:
        """Require the value to be the target."""
        found = _numbers("equal", value, target)
        self._require(ops.EqualOp(value.ssa, found.ssa))

    def require_in(self, value: Tensor, kind: str, /, *given: Any, **named: Any) -> None:
        """Require a value to be in a set: ``require_in(w, "box", -1, 1)``, ``require_in(w, "ball", axis=0)``.

        The arguments are those that docs/language.md lists; masks and values are numbers, nested sequences of
        them, or arrays.
        """
        self.require_set(value, kind, arguments(kind, given, named))

    def require_set(
        self, value: Tensor, kind: str, given: Mapping[str, Any], called: str | None = None
    ) -> None:
        """Require a value to be in a set that ``dialects/sets.py`` describes; labels call it ``called``."""
        owner = value.ssa.owner
        known = owner.label.data if isinstance(owner, ops.ParameterOp) else self.label("value")
        op = ops.SetOp(value.ssa, kind, described(kind, given, value.shape))
        self.emitter.add(op, f"{called or known}.{kind}", self.span)

    def _require(self, op: ops.LossOp) -> None:
        self.emitter.add(op, self.label(op.name.split(".")[1]), self.span)


def _check_logits(name: str, logits: Tensor, target: Target) -> None:
    """Raise if the logits are not the target's dimensions and then its classes."""
    if target.classes is None:
        raise ShapeError(f"{name} compares with a target of classes, found {target}")
    shape = target.shape
    if logits.shape == (*shape, target.classes):
        return
    hint = None
    if logits.rank and logits.shape[:-1] == shape:
        hint = f"the last dimension must be the number of classes, {target.classes}"
    raise ShapeError(
        f"{name} compares logits {logits} with the target '{target.name}' of {target}; "
        "their dimensions differ",
        hint,
    )


def _numbers(name: str, value: Tensor, given: Target | Tensor) -> Target:
    """Return a target of numbers of the value's shape; an input can be one."""
    target = as_target(given)
    if target is None or target.classes is not None:
        raise ShapeError(f"{name} compares with a target of numbers or with an input, found {given}")
    shape = target.shape
    if value.shape == shape:
        return target
    hint = "squeeze takes the last axis away" if value.shape == (*shape, 1) else None
    raise ShapeError(
        f"{name} compares {value} with the target '{target.name}' of {target}; their dimensions differ", hint
    )


def as_target(value: object) -> Target | None:
    """Return a target, or an input as one; None for anything else."""
    if isinstance(value, Tensor) and isinstance(value.ssa.owner, ops.InputOp):
        return Target(value.ssa.owner.label.data, value.ssa, value.names, None)
    return value if isinstance(value, Target) else None


def _check_bounds(name: str, low: float, high: float) -> None:
    if low > high:
        raise ShapeError(f"{name} needs low <= high, found low = {low} and high = {high}")
