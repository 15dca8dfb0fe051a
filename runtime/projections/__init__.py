"""The registry of operators and losses, by the names of their feas ops."""

from __future__ import annotations

from typing import Any

from pjc.runtime.projections.class_margin import ClassMargin
from pjc.runtime.projections.cross_entropy import CrossEntropy
from pjc.runtime.projections.dot import Dot
from pjc.runtime.projections.hinge import Hinge
from pjc.runtime.projections.identity import Identity
from pjc.runtime.projections.margin import Margin
from pjc.runtime.projections.max import Max
from pjc.runtime.projections.min import Min
from pjc.runtime.projections.numeric import Equal, MultiLabel, SquaredError
from pjc.runtime.projections.operator import Loss, Operator
from pjc.runtime.projections.piecewise import Piecewise
from pjc.runtime.projections.product import Product
from pjc.runtime.projections.quantize import Quantize
from pjc.runtime.projections.round import Round
from pjc.runtime.projections.sets import (
    Ball,
    Box,
    ConstraintSet,
    Levels,
    Mask,
    Nonneg,
    Rank,
    Simplex,
    Sparse,
    Sphere,
)
from pjc.runtime.projections.sets import (
    Equal as EqualTo,
)
from pjc.runtime.projections.sum import Sum
from pjc.runtime.projections.sum_relu import SumRelu

ALL_OPERATORS = (Dot, Sum, SumRelu, Max, Min, Product, Identity, Piecewise, Quantize, Round)
OPERATORS: dict[str, type[Operator]] = {cls.name: cls for cls in ALL_OPERATORS}
ALL_LOSSES = (CrossEntropy, Margin, ClassMargin, Hinge, SquaredError, Equal, MultiLabel)
REGISTERED: dict[str, type[Operator]] = {}
"""Operators of the user's own, which pjc.operators registers."""
LOSSES: dict[str, type[Loss]] = {cls.name: cls for cls in ALL_LOSSES}

ALL_SETS = (Box, Nonneg, Ball, Sphere, Simplex, Sparse, Levels, Mask, Rank, EqualTo)
SETS: dict[str, type[ConstraintSet]] = {cls.name: cls for cls in ALL_SETS}


def operator(name: str, **fields: Any) -> Operator:
    """Return the operator of that name with its static attributes.

    Raises:
        ValueError: if no operator has that name, nor any that Python registered, or the fields do not fit.
    """
    found: type[Operator] = _found({**OPERATORS, **REGISTERED}, "operator", name)
    return found(**fields)


def loss(name: str, **fields: Any) -> Loss:
    """Return the loss of that name with its static attributes.

    Raises:
        ValueError: if no loss has that name, or the fields do not fit it.
    """
    found: type[Loss] = _found(LOSSES, "loss", name)
    return found(**fields)


def constraint_set(name: str, **fields: Any) -> ConstraintSet:
    """Return the set of that name with its static attributes.

    Raises:
        ValueError: if no set has that name, or the fields do not fit it.
    """
    found: type[ConstraintSet] = _found(SETS, "set", name)
    return found(**fields)


def _found(registry: dict[str, Any], kind: str, name: str) -> Any:
    if name not in registry:
        raise ValueError(f"there is no {kind} called '{name}'; known are {', '.join(registry)}")
    return registry[name]
