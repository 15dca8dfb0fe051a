"""What the numbers of a tensor are measured in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from pjc.diagnostics import PjcError
from pjc.dialects.shapes import columns

from .data.normalize import Moments


class UnitsError(PjcError, ValueError):
    """Numbers that are no units, or units that do not fit; the text says what was expected."""


@dataclass(frozen=True)
class Units:
    """``outside = scale * inside + offset``, column by column; columns are the entries of the last axis.

    Attributes:
        scale: a positive number for each column.
        offset: a number for each column.

    Raises:
        UnitsError: for others.
    """

    scale: tuple[float, ...]
    offset: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.offset) or not self.scale:
            raise UnitsError(
                f"units have as many scales as offsets, from 1, found {len(self.scale)} and "
                f"{len(self.offset)}"
            )
        if not all(map(math.isfinite, (*self.scale, *self.offset))) or min(self.scale) <= 0:
            raise UnitsError(
                f"units have positive scales and finite offsets, found {self.scale} and {self.offset}"
            )

    @staticmethod
    def of(numbers: Any) -> Units:
        """Return the units in which the numbers have mean 0 and variance 1 in each column.

        A column that does not vary is only shifted. Of one axis all are one column; else the last axis has
        the columns.
        """
        array = np.asarray(numbers)
        rows = array.reshape(-1, 1) if array.ndim < 2 else array.reshape(-1, array.shape[-1])
        found = Moments.of(rows)
        return Units(tuple(found.spread.tolist()), tuple(found.mean.tolist()))

    @staticmethod
    def from_record(record: Mapping[str, Any]) -> Units:
        """Return the units whose scales and offsets are under these names, as lists or arrays."""
        scale, offset = (tuple(map(float, record[name])) for name in ("scale", "offset"))
        return Units(scale, offset)

    def inside(self, outside: Any) -> Any:
        """Return what numbers in these units are where there are none."""
        scale, offset = self._like(outside)
        return (outside - offset) / scale

    def outside(self, inside: Any) -> Any:
        """Return numbers in these units: the inverse of :meth:`inside`."""
        scale, offset = self._like(inside)
        return inside * scale + offset

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the scales and offsets as arrays, from which :meth:`from_record` makes them again."""
        return {"scale": np.array(self.scale), "offset": np.array(self.offset)}

    def _like(self, array: Any) -> tuple[np.ndarray, np.ndarray]:
        found = self.arrays()
        return found["scale"].astype(array.dtype), found["offset"].astype(array.dtype)


def giving(function: Callable[..., Any], units: Mapping[str, Units]) -> Callable[..., Any]:
    """Return a function like one that gives arrays by name, with some of them in units."""

    def given(*arguments: Any) -> Any:
        found = function(*arguments)
        return {**found, **{name: each.outside(found[name]) for name, each in units.items()}}

    return given


def taking(function: Callable[..., Any], at: int, units: Mapping[str, Units]) -> Callable[..., Any]:
    """Return a function like one whose argument ``at`` is arrays by name, with some of them in units."""

    def taken(*arguments: Any) -> Any:
        data = arguments[at]
        inside = {**data, **{name: each.inside(data[name]) for name, each in units.items()}}
        return function(*arguments[:at], inside, *arguments[at + 1 :])

    return taken


class Target(Protocol):
    """A target of a program: its name and shape, and the output whose units it has, if it may have any."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def output(self) -> str | None: ...


def require_units(
    what: str, targets: Sequence[Target], before: Mapping[str, Units], units: Mapping[str, Units]
) -> None:
    """Raise UnitsError unless ``what``, whose targets are in units ``before``, can have these."""
    if before:
        raise UnitsError(
            f"{what} has units already, {told(before)}; found {told(units)}: parameters and programs go "
            "together that were trained on the same targets"
        )
    known = {each.name: each for each in targets}
    for name, each in units.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise UnitsError(f"{what} has no target '{name}' to have units; its targets are {listed}")
        if known[name].output is None:
            raise UnitsError(f"target '{name}' of {what} is taken as it is: {WHEN}")
        count = columns(known[name].shape)
        if len(each.scale) != count:
            raise UnitsError(f"target '{name}' has {count} columns, found units of {len(each.scale)}")


WHEN = (
    "units are for numbers that one squared_error alone compares with an output, where nothing else reads "
    "that, weights can stretch it and a bias can shift it"
)
"""Which targets may have units; the pass that finds them is ``passes/analysis/units.py``."""


def told(units: Mapping[str, Units]) -> str:
    """Return units as a message has them."""
    few = (
        f"{name}: scale {list(each.scale[:_SHOWN])}, offset {list(each.offset[:_SHOWN])}"
        + (f" and {len(each.scale) - _SHOWN} columns more" if each.scale[_SHOWN:] else "")
        for name, each in units.items()
    )
    return "; ".join(few) or "none"


_SHOWN = 4
