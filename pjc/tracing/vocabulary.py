"""Functions of the language that JAX lacks, and ``require``; each is an ordinary function on arrays.

What they compute is what the compiled network computes: the operators' own forward functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import jax.numpy as jnp
from jax import Array

from pjc.builder.arithmetic import whole_range
from pjc.diagnostics import code_of, mistake
from pjc.dialects.shapes import ShapeError
from pjc.tracing.asks import Loss, Set
from pjc.tracing.refusal import Refused
from pjc.tracing.regions import Region, entered
from pjc.tracing.text import number, tuple_text
from pjc.tracing.values import Tensor, Value

if TYPE_CHECKING:
    from pjc.tracing.walk import Walk

T = TypeVar("T")


@cache
def _elementwise(stem: str, arguments: str, compute: Callable[[Array], Array]) -> Callable[..., Any]:
    def build(walk: Walk, given: list[Tensor], shape: tuple[Any, ...]) -> Value:
        (x,) = given
        return walk.text.bind(stem, f"{stem}({x.text}{arguments})", shape, fed=x.fed)

    return entered(Region(compute, build))


@cache
def _jump(stem: str, arguments: str, at: float, low: float) -> Callable[..., Any]:
    return _elementwise(stem, arguments, lambda x: jnp.where(x > at, 1.0, low).astype(x.dtype))


def _finite(value: Any, what: str) -> float:
    """Return an argument that is one finite number."""
    try:
        found = float(value)
    except Exception as error:  # whatever an object's own method raises
        raise mistake(f"{what} is a number that is known, found {type(value).__name__}") from error
    if not math.isfinite(found):
        raise mistake(f"{what} is a finite number, found {found:g}")
    return found


def _floats(x: Any) -> Array:
    found = jnp.asarray(x)
    return found if jnp.issubdtype(found.dtype, jnp.floating) else found.astype(jnp.result_type(float))


def sign(x: Any, margin: float = 0.0) -> Array:
    """Return -1 where x is at most 0, and 1 above, in the shape of x.

    Args:
        x: an array of any shape; whole numbers are taken for floats.
        margin: how far solvers that iterate keep x away from 0; it does not change what is computed.

    Raises:
        DiagnosticError: if the margin is no finite number.
    """
    margin = _finite(margin, "the margin of sign")
    made: Array = _jump("sign", f", margin = {number(margin)}" if margin else "", 0.0, -1.0)(_floats(x))
    return made


def step(x: Any, threshold: float = 0.0, margin: float = 0.0) -> Array:
    """Return 0 where x is at most the threshold, and 1 above, in the shape of x.

    Args:
        x: an array of any shape; whole numbers are taken for floats.
        threshold: where the step is.
        margin: as of :func:`sign`, about the threshold.

    Raises:
        DiagnosticError: if threshold or margin are no finite numbers.
    """
    threshold, margin = _finite(threshold, "the threshold of step"), _finite(margin, "the margin of step")
    arguments = f", {number(threshold)}" if threshold else ""
    arguments += f", margin = {number(margin)}" if margin else ""
    made: Array = _jump("step", arguments, threshold, 0.0)(_floats(x))
    return made


@cache
def _quantizer(levels: tuple[float, ...]) -> Callable[..., Any]:
    from pjc.runtime.projections.quantize import Quantize

    operator = Quantize(levels=levels)
    return _elementwise("quantize", f", {tuple_text(map(number, levels))}", operator.forward)


def quantize(
    x: Any,
    levels: Sequence[float] | None = None,
    *,
    bits: int | None = None,
    scale: float = 1.0,
    signed: bool = True,
) -> Array:
    """Return the level nearest to each entry, in the shape of x.

    Args:
        x: an array of any shape; whole numbers are taken for floats.
        levels: one or more numbers that increase; -1 and 1 by default.
        bits: instead of levels, from 2 to 16: those are the multiples of ``scale`` that whole numbers of so
            many bits give.
        scale: the step between them.
        signed: whether they begin at ``-2^(bits - 1)``, or at 0.

    Raises:
        DiagnosticError: if levels do not increase, or numbers are not finite, or not of their range.
    """
    if bits is not None:
        return _of_bits(x, levels, bits, _finite(scale, "the scale of quantize"), signed)
    levels = (-1.0, 1.0) if levels is None else levels
    if not isinstance(levels, Iterable):
        raise mistake(f"levels are numbers, found {type(levels).__name__}", "as in quantize(x, (-1, 0, 1))")
    found = tuple(_finite(each, "a level") for each in levels)
    if not found or list(found) != sorted(set(found)):
        raise mistake(f"levels increase strictly, found {list(found)}", "as in quantize(x, (-1, 0, 1))")
    made: Array = _quantizer(found)(_floats(x))
    return made


def _of_bits(x: Any, levels: Any, bits: int, scale: float, signed: bool) -> Array:
    """Return the nearest multiples of a scale that whole numbers of some bits give."""
    if levels is not None or not scale > 0:
        raise mistake("quantize takes levels, or bits and a scale above 0", "as in quantize(x, bits=4)")
    try:
        least, largest = whole_range(bits, signed)
    except ShapeError as error:
        raise mistake(str(error), error.hint, code_of(error)) from None
    made: Array = _whole_numbers(scale, bits, bool(signed), least, largest)(_floats(x))
    return made


@cache
def _whole_numbers(scale: float, bits: int, signed: bool, least: int, largest: int) -> Callable[..., Any]:
    from pjc.runtime.projections.quantize_linear import QuantizeLinear

    operator = QuantizeLinear(scale, least, largest)
    arguments = f", bits = {bits}, scale = {number(scale)}, signed = {int(signed)}"
    return _elementwise("quantize", arguments, lambda x: operator.forward(x) * scale)


def round(x: Any) -> Array:
    """Return the nearest whole number to each entry, as a float, halves to even ones, in the shape of x."""
    return jnp.round(_floats(x))


def sum_relu(*terms: Any, axis: int | Sequence[int] | None = None) -> Array:
    """Return ``max(0, sum of terms)``.

    Args:
        terms: one or more arrays, which are broadcast to one shape; that is the result's.
        axis: axes along which the sum is taken too; the result does not have them.

    Raises:
        DiagnosticError: if there are no terms.
    """
    if not terms:
        raise mistake("sum_relu takes at least one array")
    total = sum((_floats(each) for each in terms[1:]), start=_floats(terms[0]))
    if axis is not None:
        total = total.sum(axis=axis if isinstance(axis, int) else tuple(axis))
    return jnp.maximum(total, 0)


@dataclass(frozen=True)
class Requirement:
    """What the function requires of one of its values."""

    asked: Set | Loss
    value: Tensor


@cache
def _required(text: str, asked: tuple[Set | Loss]) -> Callable[..., Any]:
    (what,) = asked

    def build(walk: Walk, given: list[Tensor], shape: tuple[Any, ...]) -> Value:
        (x,) = given
        if not x.text.isidentifier():
            x = walk.text.bind("value", x.text, shape, fed=x.fed)
        if isinstance(what, Set):
            walk.text.line(f"require {x.text} in {what}")
        elif walk.text.is_inside:
            raise Refused(
                "it requires a loss of each iteration", "collect the values, and require it behind the loop"
            )
        else:
            walk.requirements.append(Requirement(what, x))
        return x

    lasts = isinstance(what, Set) and not what.entrywise
    return entered(Region(lambda x: x, build, lasts))


class _Held(tuple[Any]):
    """What is asked, as a key that is equal where its text is."""

    def __hash__(self) -> int:
        return hash(str(self[0]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and _key(self[0]) == _key(other[0])


def _key(asked: Set | Loss) -> tuple[str, ...]:
    target = asked.target if isinstance(asked, Loss) else ""
    return type(asked).__name__, str(asked), str(target)


def require(value: T, asked: Set | Loss) -> T:
    """Return the value as it is; a traced function requires it to be in a set, or a loss of it to be low.

    Args:
        value: an array of any shape, one of the function's own values or one of its parameters.
        asked: a set, as ``pjc.box(-1, 1)``, or a loss, as ``pjc.squared_error(target="x")``. A loss cannot be
            asked for inside of a loop.

    Raises:
        DiagnosticError: if it is neither a set nor a loss.
    """
    if not isinstance(asked, Set | Loss):
        raise mistake(
            f"require takes a set or a loss, found {type(asked).__name__}",
            "as in pjc.require(h, pjc.nonneg())",
        )
    return _required(str(asked), _Held((asked,)))(value)  # type: ignore[no-any-return]


def apply_operator(cls: Any, arrays: Sequence[Any]) -> Array:
    """Return what an operator of the user's own makes of arrays; a traced function calls it by its name."""
    return _own(cls)(*map(_floats, arrays))  # type: ignore[no-any-return]


@cache
def _own(cls: Any) -> Callable[..., Any]:
    def build(walk: Walk, given: list[Tensor], shape: tuple[Any, ...]) -> Value:
        text = f"{cls.name}({', '.join(each.text for each in given)})"
        return walk.text.bind(cls.name, text, shape, fed=any(each.fed for each in given))

    return entered(Region(lambda *arrays: cls().forward(*arrays), build, lasts=True))
