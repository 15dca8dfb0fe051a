"""Equations that work entry by entry, and reductions along axes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pjc.tracing.joining import joined, numbers_of, slice_text
from pjc.tracing.pieces import (
    Edge,
    Pieces,
    added,
    both,
    chosen,
    compared,
    largest,
    least,
    opposite,
)
from pjc.tracing.refusal import Refused
from pjc.tracing.text import tuple_text
from pjc.tracing.values import (
    Constant,
    Function,
    OneHot,
    Place,
    Size,
    Tensor,
    Test,
    Value,
    Wrap,
    constant,
    floating,
)
from pjc.tracing.views import broadcast_to, indexed, is_settled, reshaped, transposed
from pjc.tracing.walk import Walk, handles

SIGN = Pieces((Edge(0.0, after=True), Edge(0.0)), (0.0, 0.0, 0.0), (-1.0, 0.0, 1.0))
"""-1 below 0, 0 at 0 itself, 1 above."""
MAX_RUNS = 8
"""The most runs of equal numbers of a constant that products with it are multiples of."""
REST = Pieces((), (-1.0,), (1.0,))
"""What is left of 1."""


def as_function(walk: Walk, value: Value, shape: Sequence[Any]) -> Function | None:
    """Return a value as a function of a tensor of the same shape; None if it is no such function."""
    found: Function | None = None
    if isinstance(value, Function):
        found = Function(value.made[0], Pieces(), value.shape) if value.made else value
    elif isinstance(value, Tensor):
        walk.floats(value)
        found = Function(value, Pieces(), value.shape)
    return found if found is not None and tuple(found.shape) == tuple(shape) else None


def _number(value: Value) -> float | None:
    if isinstance(value, Constant) and value.array.dtype.kind in "fV":
        found = value.number
        return None if found is None else float(found)
    return None


def pair(walk: Walk, given: Sequence[Value], shape: Sequence[Any]) -> tuple[Tensor, Pieces, Pieces] | None:
    """Return two values as functions of one tensor; None if they are not."""
    functions = [as_function(walk, each, shape) for each in given]
    numbers = [_number(each) for each in given]
    for own, other in ((0, 1), (1, 0)):
        first, known = functions[own], numbers[other]
        if first is not None and known is not None:
            line = Pieces((), (0.0,), (known,))
            return (first.of, first.pieces, line) if own == 0 else (first.of, line, first.pieces)
    if functions[0] is not None and functions[1] is not None and is_same(functions[0].of, functions[1].of):
        return functions[0].of, functions[0].pieces, functions[1].pieces
    return None


def is_same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are one: a text has one meaning where it stands."""
    return a is b or (a.text == b.text and a.shape == b.shape)


def _one(walk: Walk, given: Sequence[Value], eqn: Any) -> Function:
    """Return the only operand as a function of a tensor."""
    found = as_function(walk, given[0], eqn.outvars[0].aval.shape)
    if found is None:
        found = as_function(walk, walk.floats(given[0]), eqn.outvars[0].aval.shape)
    assert found is not None, "a tensor is a function of itself"
    return found


def _shape(eqn: Any) -> tuple[Any, ...]:
    return tuple(eqn.outvars[0].aval.shape)


def _whole_number(walk: Walk, given: Sequence[Value], eqn: Any) -> Value | None:
    """Return sums and products of numbers of rows and of iterations with numbers; None if there are none."""
    a, b = given
    name = eqn.primitive.name
    rows = next((each for each in given if isinstance(each, Tensor) and each.whole), None)
    other = b if rows is a else a
    if rows is not None:
        if name == "add" and isinstance(other, Constant) and other.number is not None:
            return Wrap(rows, rows.shape, int(other.number))
        raise Refused(
            "it computes with an input of whole numbers", "rows of a table can be taken by them, as they are"
        )
    place = next((each for each in given if isinstance(each, Place)), None)
    other = b if place is a else a
    if place is None:
        return None
    known = other.number if isinstance(other, Constant) else None
    if known is None or name not in ("add", "sub", "mul"):
        raise Refused("it computes with the number of an iteration", "whole multiples of it can be places")
    change: dict[str, Callable[[int], int]] = {
        "add": lambda i: i + int(known),
        "sub": (lambda i: i - int(known)) if place is a else (lambda i: int(known) - i),
        "mul": lambda i: i * int(known),
    }
    return place.map(change[name])


@handles("add", "add_any", "sub", becomes="a weighted sum")
def add(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    whole = _whole_number(walk, given, eqn)
    if whole is not None:
        return whole
    sign = -1.0 if eqn.primitive.name == "sub" else 1.0
    shape = _shape(eqn)
    same = pair(walk, given, shape)
    if same is not None:
        return Function(same[0], added(same[1], same[2], sign), shape)
    return walk.join("sum", given, shape, lambda a, b: f"{a} {'-' if sign < 0 else '+'} {b}")


@handles("mul", becomes="a multiple, or a product")
def mul(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    whole = _whole_number(walk, given, eqn)
    if whole is not None:
        return whole
    if all(_number(each) is None for each in given):
        for each in given:
            walk.note_factor(each)
    return product(walk, given[0], given[1], _shape(eqn))


def _multiple(walk: Walk, value: Value, known: float, shape: Sequence[Any]) -> Value:
    found = as_function(walk, numbers_of(value), shape)
    if known == 0:
        return constant(np.zeros((1,) * len(shape), np.float32), shape)
    if found is None:
        found = Function(broadcast_to(walk.floats(value), shape), Pieces(), tuple(shape))
    return Function(found.of, found.pieces.scaled(known), tuple(shape))


@handles("div", becomes="a multiple, or a product: only numbers that are known divide")
def div(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    a, b = given
    if isinstance(b, Size):
        walk.tensor(b)
    if not isinstance(b, Constant):
        raise Refused(
            "it divides by a value that is not known", "multiply instead; only numbers that are known divide"
        )
    if b.is_whole:
        raise Refused("it divides whole numbers")
    if not np.all(b.array != 0):
        raise Refused("it divides by 0")
    shape = _shape(eqn)
    known = _number(b)
    found = None if known is None else as_function(walk, a, shape)
    if found is not None and known is not None:
        return Function(found.of, found.pieces.divided(known), shape)
    inverse = constant((1 / b.array.astype(np.float64)).astype(b.array.dtype), b.shape)
    if known is not None:
        return _multiple(walk, a, 1 / known, shape)
    return walk.join("product", [numbers_of(a), inverse], shape, lambda x, y: f"{x} * {y}")


@handles("neg", becomes="a multiple")
def neg(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    if isinstance(given[0], Place):
        return given[0].map(lambda i: -i)
    found = _one(walk, given, eqn)
    return Function(found.of, found.pieces.scaled(-1.0), found.shape)


@handles("square", "integer_pow", becomes="products, for the powers 2, 3 and 4")
def square(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return _powered(walk, given[0], eqn.params.get("y", 2))


def _powered(walk: Walk, x: Value, power: float | None) -> Value:
    """Return a power of a value; None is one that is not known."""
    if power not in (1, 2, 3, 4):
        told = "of a value" if power is None else f"{power:g}"
        raise Refused(f"it takes the power {told}", "powers 2, 3 and 4 are products, as in x * x")
    return x if power == 1 else _power(walk, walk.floats(x), int(power))


def _power(walk: Walk, x: Tensor, power: int) -> Tensor:
    made = walk.entrywise("product", x, "{x} * {x}")
    if power == 2:
        return made
    other = x if power == 3 else made
    return walk.join("product", [made, other], x.shape, lambda a, b: f"{a} * {b}")


@handles("pow", becomes="products, for the powers 2, 3 and 4")
def power(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x, y = given
    known = y.number if isinstance(y, Constant) else None
    return _powered(walk, x, None if known is None else float(known))


@handles("max", becomes="relu, clip and other piecewise linear functions, or maximum")
def maximum(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return _max_min(walk, given, _shape(eqn), upper=True)


@handles("min", becomes="clip and other piecewise linear functions, or minimum")
def minimum(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    return _max_min(walk, given, _shape(eqn), upper=False)


def _max_min(walk: Walk, given: Sequence[Value], shape: Sequence[Any], *, upper: bool) -> Value:
    for a, b in (given, given[::-1]):
        known = b.number if isinstance(b, Constant) else None
        if isinstance(a, Place):
            return _bounded(a, known, shape, upper=upper)
        if known is not None and not np.isfinite(float(known)):
            if float(known) == (-np.inf if upper else np.inf):
                return a
            raise Refused(f"it compares with {float(known):g}")
    same = pair(walk, given, shape)
    if same is not None:
        return Function(same[0], (largest if upper else least)(same[1], same[2]), tuple(shape))
    return larger(walk, given, shape, upper=upper)


def _bounded(place: Place, known: Any, shape: Sequence[Any], *, upper: bool) -> Value:
    """Return the larger, or the lesser, of the number of an iteration and one that is known."""
    if known is None:
        raise Refused("it compares the number of an iteration with values")
    low, high = sorted(place.ends)
    if (low >= known) if upper else (high <= known):
        return place
    if (high <= known) if upper else (low >= known):
        return constant(np.full((1,) * len(shape), known), shape)
    raise Refused("it clips the number of an iteration, which leaves that range")


def larger(walk: Walk, given: Sequence[Value], shape: Sequence[Any], *, upper: bool) -> Tensor:
    """Return the larger, or the lesser, of two values, entry by entry."""
    name = "maximum" if upper else "minimum"
    return walk.join(name, [numbers_of(each) for each in given], shape, lambda a, b: f"{name}({a}, {b})")


@handles("clamp", becomes="clip, or maximum and minimum")
def clamp(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    low, x, high = given
    raised = _max_min(walk, [x, low], _shape(eqn), upper=True)
    return _max_min(walk, [raised, high], _shape(eqn), upper=False)


@handles("abs", becomes="abs, or part of a piecewise linear function")
def absolute(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    found = _one(walk, given, eqn)
    return Function(found.of, largest(found.pieces, found.pieces.scaled(-1.0)), found.shape)


@handles("sign", becomes="a piecewise constant function")
def sign(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    x = walk.floats(given[0])
    return Function(x, SIGN, x.shape)


@handles("round", becomes="round")
def round_(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    if int(eqn.params["rounding_method"]) != 1:
        raise Refused("it rounds halves away from zero", "jnp.round rounds them to even numbers")
    x = walk.floats(given[0])
    return walk.entrywise("round", x, "round({x})")


@handles(
    "gt",
    "ge",
    "lt",
    "le",
    "eq",
    "ne",
    becomes="a condition of jnp.where, on a tensor or a difference; a code of rows",
)
def compare(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    a, b = given
    name, shape = eqn.primitive.name, _shape(eqn)
    code = coded(a, b) or coded(b, a) if name == "eq" else None
    if code is not None:
        return code
    if isinstance(a, Tensor) and a.whole:
        if name == "lt" and isinstance(b, Constant) and b.number == 0:
            return Wrap(a, a.shape)
        raise Refused("it compares numbers of rows", "rows of a table can be taken by them, as they are")
    if isinstance(a, Place) or isinstance(b, Place):
        return _places_compared(a, b, name, shape)
    same = pair(walk, given, shape)
    if same is None:
        sides = [numbers_of(each) for each in given]
        difference = walk.join("sum", sides, shape, lambda x, y: f"{x} - {y}")
        same = difference, Pieces(), Pieces((), (0.0,), (0.0,))
    return Test(same[0], compared(same[1], same[2], name), shape)


def coded(rows: Value, numbers: Value) -> OneHot | None:
    """Return numbers of rows, compared with all places along an axis; None if they are not."""
    if not (isinstance(rows, Tensor) and rows.whole and isinstance(numbers, Constant) and numbers.is_whole):
        return None
    shape, array = numbers.shape, numbers.array
    axes = [axis for axis, size in enumerate(array.shape) if size > 1]
    if len(axes) != 1 or not np.array_equal(array.reshape(-1), np.arange(shape[axes[0]])):
        return None
    (axis,) = axes
    held = rows if rows.narrow is None else rows.narrow
    if len(held.shape) != len(shape) or not bool(held.shape[axis] == 1):
        return None
    sizes = [size for at, size in enumerate(held.shape) if at != axis]
    wide = [size for at, size in enumerate(rows.shape) if at != axis]
    return OneHot(broadcast_to(reshaped(held, sizes), wide), axis, shape)


def _places_compared(a: Value, b: Value, name: str, shape: Sequence[Any]) -> Value:
    relation = {
        "gt": np.greater,
        "ge": np.greater_equal,
        "lt": np.less,
        "le": np.less_equal,
        "eq": np.equal,
        "ne": np.not_equal,
    }[name]
    sides = [
        each.numbers() if isinstance(each, Place) else [each.number] if isinstance(each, Constant) else []
        for each in (a, b)
    ]
    if not all(sides) or None in sides[0] + sides[1]:
        raise Refused("it compares the number of an iteration with values")
    first, second = map(np.array, sides)
    if isinstance(a, Place) and isinstance(b, Place) and a.loop != b.loop:
        first = first[:, None]  # each iteration of one loop meets all of the other
    found = np.unique(relation(first, second))
    if len(found) > 1:
        raise Refused(
            "it does one thing in some iterations and another in others",
            "write them as two loops, or as a Python loop over range",
        )
    return constant(found.reshape((1,) * len(shape)), shape)


@handles("and", "or", "not", becomes="a condition of jnp.where, on one tensor")
def logical(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    tests = [each for each in given if isinstance(each, Test)]
    if len(tests) < len(given) or not all(is_same(each.of, tests[0].of) for each in tests):
        raise Refused("it joins conditions on several values", "nest jnp.where, each on one tensor")
    name, first = eqn.primitive.name, tests[0]
    if name == "not":
        return Test(first.of, opposite(first.pieces), first.shape)
    second = tests[1].pieces
    if name == "and":
        return Test(first.of, both(first.pieces, second), first.shape)
    return Test(first.of, opposite(both(opposite(first.pieces), opposite(second))), first.shape)


@handles("select_n", becomes="a piecewise linear function, or products with a mask")
def select(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    which, *cases = given
    shape = _shape(eqn)
    if isinstance(which, Wrap):
        rows, shifted = cases
        if isinstance(shifted, Wrap) and shifted.rows is rows is which.rows:
            return rows
        raise Refused("it chooses between numbers of rows")
    if isinstance(which, Constant):
        return _masked(walk, which, cases, shape)
    if isinstance(which, OneHot):
        code = walk.tensor(which)
        return _selected(walk, [Function(code, REST, code.shape), code], cases, shape)
    if len(cases) != 2 or not isinstance(which, Test):
        raise Refused("it chooses by a value", "jnp.where on a comparison with a number has one")
    found = []
    for case in cases:
        known = _number(case)
        function = as_function(walk, case, shape)
        if known is not None:
            found.append(Pieces((), (0.0,), (known,)))
        elif function is not None and is_same(function.of, which.of):
            found.append(function.pieces)
        else:
            return _by_test(walk, which, cases, shape)
    return Function(which.of, chosen(which.pieces, *found), shape)


def _by_test(walk: Walk, which: Test, cases: Sequence[Value], shape: Sequence[Any]) -> Value:
    """Where the condition is on another tensor than the cases: products with its step."""
    step = walk.tensor(numbers_of(which))
    rest = Function(step, REST, step.shape)
    return _selected(walk, [rest, step], cases, shape)


def _masked(walk: Walk, which: Constant, cases: Sequence[Value], shape: Sequence[Any]) -> Value:
    one = which.number
    if one is not None:
        return cases[int(one)]
    found = runs(which, shape)
    if found is not None and not any(_is_extreme(each) for each in cases):
        axis, parts = found
        cut = [_cut(walk, cases[int(number)], shape, axis, start, stop) for start, stop, number in parts]
        return joined(walk, [_as_floats(each) for each in cut], axis)
    chosen = which.array.astype(np.int64)
    masks = [constant((chosen == at).astype(np.float32), shape) for at in range(len(cases))]
    return _selected(walk, masks, cases, shape)


def _as_floats(value: Value) -> Value:
    return constant(floating(value.array), value.shape) if isinstance(value, Constant) else value


def _is_extreme(value: Value) -> bool:
    """Whether numbers are as large as those that masks put before a softmax."""
    if not isinstance(value, Constant):
        return False
    return not np.isfinite(value.array.astype(np.float64)).all() or np.abs(value.array).max(initial=0) > 1e8


def _selected(walk: Walk, masks: Sequence[Value], cases: Sequence[Value], shape: Sequence[Any]) -> Value:
    """Return the sum of the cases, each times a mask."""
    made: Value | None = None
    for mask, case in zip(masks, cases, strict=True):
        if isinstance(case, Constant):
            if _is_extreme(case):
                raise Refused(
                    "it puts very large numbers where a mask is, as before a softmax",
                    "with relu of the scores, put zeros there behind it",
                )
            if case.number == 0:
                continue
            case = constant(floating(case.array), case.shape)
        part: Value
        if isinstance(mask, Constant) and isinstance(case, Constant):
            part = constant(mask.array * case.array, shape)
        else:
            part = product(walk, mask, numbers_of(case), shape)
        made = part if made is None else walk.join("where", [made, part], shape, lambda a, b: f"{a} + {b}")
    return constant(np.zeros((1,) * len(shape), np.float32), shape) if made is None else made


def runs(value: Constant, shape: Sequence[Any]) -> tuple[int, list[tuple[int, int, Any]]] | None:
    """Return the axis along which numbers vary, and the few runs of equal ones there: start, stop, number.

    None if they vary along several axes, or more often than :data:`MAX_RUNS`.
    """
    axes = [axis for axis, size in enumerate(value.array.shape) if size > 1]
    if len(axes) != 1 or len(value.shape) != len(shape):
        return None
    numbers = value.array.reshape(-1)
    edges = [0, *(int(at) + 1 for at in np.flatnonzero(numbers[1:] != numbers[:-1])), len(numbers)]
    if len(edges) - 1 > MAX_RUNS:
        return None
    return axes[0], [(start, stop, numbers[start]) for start, stop in itertools.pairwise(edges)]


def _cut(walk: Walk, value: Value, shape: Sequence[Any], axis: int, start: int, stop: int) -> Value:
    """Return entries of a value along an axis."""
    own = [*shape[:axis], stop - start, *shape[axis + 1 :]]
    if isinstance(value, Constant):
        array = value.array if value.array.shape[axis] == 1 else value.array.take(range(start, stop), axis)
        return constant(array, own)
    x = broadcast_to(walk.floats(numbers_of(value)), shape)
    return indexed(x, [":"] * axis + [slice_text(start, stop, 1, shape[axis])], own)


def product(walk: Walk, a: Value, b: Value, shape: Sequence[Any]) -> Value:
    """Return the product of two values, entry by entry."""
    for one, other in ((a, b), (b, a)):
        known = _number(other)
        if known is not None:
            return _multiple(walk, one, known, shape)
        found = runs(other, shape) if isinstance(other, Constant) and not isinstance(one, Constant) else None
        if found is not None:
            axis, parts = found
            cut = [_cut(walk, one, shape, axis, start, stop) for start, stop, _ in parts]
            own = [
                _multiple(walk, each, float(n), each.shape)
                for each, (_, _, n) in zip(cut, parts, strict=True)
            ]
            return joined(walk, own, axis)
    return walk.join("product", [numbers_of(a), numbers_of(b)], shape, lambda x, y: f"{x} * {y}")


@handles("convert_element_type", becomes="the value itself; a condition becomes 0 and 1")
def convert(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    (value,) = given
    new = np.dtype(eqn.params["new_dtype"])
    kind = new.kind
    if kind in "fV" and new.itemsize < 2:
        raise Refused(f"it rounds to {new}", "pjc.round(x) and pjc.quantize(x, levels) round")
    if isinstance(value, Test):
        if kind == "b":
            return value
        return numbers_of(value)
    if isinstance(value, Size | OneHot):
        return value
    if isinstance(value, Place | Wrap):
        if kind in "iu" and (isinstance(value, Wrap) or _holds(new, value)):
            return value
        raise Refused("it makes numbers of another type of the number of an iteration")
    if isinstance(value, Tensor) and value.whole:
        if kind in "iu":
            if new.itemsize < 4:
                raise Refused(f"it makes {new} of an input of whole numbers, which may be larger")
            return value
        raise Refused(
            "it makes numbers with fractions of an input of whole numbers", "declare the input as f32"
        )
    if kind not in "fV":
        raise Refused("it makes whole numbers of others", "pjc.round(x) has one")
    return value


def _holds(kind: np.dtype[Any], place: Place) -> bool:
    """Whether a type of whole numbers holds what a place is in each iteration."""
    return all(np.iinfo(kind).min <= at <= np.iinfo(kind).max for at in place.ends)


@handles("reduce_precision", becomes="the value itself, from bfloat16 on")
def reduce_precision(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    exponent, mantissa = eqn.params["exponent_bits"], eqn.params["mantissa_bits"]
    if (exponent, mantissa) not in ((8, 23), (8, 7), (5, 10), (11, 52)):
        raise Refused(
            f"it rounds to {mantissa} bits behind the first", "pjc.round(x) and pjc.quantize(x, levels) round"
        )
    return given[0]


@handles(
    *("stop_gradient", "copy", "optimization_barrier", "sharding_constraint"),
    *("device_put", "name"),
    becomes="the value itself",
)
def same(walk: Walk, eqn: Any, given: list[Value]) -> list[Value]:
    return list(given)


@handles("reduce_sum", becomes="a sum along axes")
def reduce_sum(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    if any(given[0].shape[axis] == 0 for axis in eqn.params["axes"]):
        shape = _shape(eqn)
        return constant(np.zeros((1,) * len(shape), np.float32), shape)  # a sum of nothing
    return reduced(walk, "sum", walk.floats(given[0]), eqn.params["axes"])


SCANS = {"cumsum": "{} + {}", "cumprod": "{} * {}", "cummax": "maximum({}, {})", "cummin": "minimum({}, {})"}
"""What joins two entries, by the primitives that join all up to each."""


@handles(*SCANS, becomes="as many sums, products, maxima or minima as its length has binary digits")
def cumulative(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    axis, name = int(eqn.params["axis"]), eqn.primitive.name
    x, backwards = walk.floats(given[0]), bool(eqn.params["reverse"])
    size = x.shape[axis]
    if not is_settled(size):
        raise Refused("it runs along an axis that is open", "give that dimension a number")
    stem = {"cumsum": "sum", "cumprod": "product"}.get(name, name.replace("cum", ""))
    reach = 1
    while reach < size:
        # Each entry holds those of its last ``reach`` places; joined to what lies before them, twice as many.
        near, far = _cut(walk, x, x.shape, axis, reach, size), _cut(walk, x, x.shape, axis, 0, size - reach)
        done = _cut(walk, x, x.shape, axis, *((size - reach, size) if backwards else (0, reach)))
        made = walk.join(stem, [near, far], near.shape, SCANS[name].format)
        x = joined(walk, [made, done] if backwards else [done, made], axis)
        reach *= 2
    return x


@handles("reduce_max", "reduce_min", becomes="max, min along axes")
def reduce_max(walk: Walk, eqn: Any, given: list[Value]) -> Value:
    name = eqn.primitive.name.removeprefix("reduce_")
    return reduced(walk, name, walk.floats(given[0]), eqn.params["axes"])


def reduced(walk: Walk, function: str, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Return a reduction along axes; those that are left stay in their order."""
    if not axes:
        return x
    (found,), order = walk.aligned([x])
    x = walk.floats(found)
    places = range(len(x.shape)) if order is None else order
    # The axes as the source has them; those that are left are in its order.
    left = [axis for axis in range(len(places)) if axis not in axes]
    own = sorted(left, key=lambda axis: places[axis])
    text = f"{function}({x.text}, axis = {tuple_text(sorted(int(places[axis]) for axis in axes))})"
    made = walk.text.bind(function, text, [x.shape[places[axis]] for axis in own], fed=x.fed)
    return transposed(made, [own.index(axis) for axis in left])
