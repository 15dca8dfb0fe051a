"""Which values of a network are whole multiples of a number: levels, quantized values, and sums of those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import frexp, prod

from xdsl.dialects.builtin import DenseArrayBase, IntegerAttr
from xdsl.ir import Block, Operation, SSAValue

from pjc.dialects import ops, view
from pjc.dialects.loops import AtOp, ForOp
from pjc.dialects.view import ViewOp, shape_of

EXACT = 2**24
"""Up to which magnitude all whole numbers are float32 numbers."""
ROUNDED = 2**20
"""Up to which multiples of a number that is no power of two can be told, though they are rounded."""
DENOMINATOR = 2**15
"""How large the whole numbers of levels may be."""


@dataclass(frozen=True)
class Multiple:
    """Entries are ``unit`` times whole numbers of at most ``bound``; zeros have the unit 0.

    With ``levels``, whole numbers, entries of a vector along ``axes`` are levels times a number of its own.
    """

    unit: float
    bound: float
    levels: tuple[float, ...] = ()
    axes: frozenset[int] = frozenset()

    @property
    def precise(self) -> bool:
        """Whether the multiples are float32 numbers themselves: those of powers of two are."""
        return not self.levels and (self.unit == 0 or abs(frexp(self.unit)[0]) == 0.5)


Found = dict[SSAValue, Multiple | None]


def multiples_in(block: Block) -> Found:
    """Return what the values of a network, or of a problem, are multiples of; None for those of anything."""
    found: Found = {}
    required = {
        op.value: op
        for op in block.walk()
        if isinstance(op, ops.SetOp) and op.kind.data in ("levels", "scaled_levels", "powers_of_two")
    }
    _walk(block, found, required)
    return found


def _walk(block: Block, found: Found, required: dict[SSAValue, ops.SetOp]) -> None:
    for op in block.ops:
        if isinstance(op, ForOp):
            _loop(op, found, required)
        elif op.results:
            made = _made(op, found, required)
            limit = EXACT if made is not None and made.precise else ROUNDED
            found[op.results[0]] = made if made is None or made.bound <= limit else None


def _loop(loop: ForOp, found: Found, required: dict[SSAValue, ops.SetOp]) -> None:
    """Enter the values of a loop: what is carried is what both the first and the last iteration leave."""
    block, end = loop.body.block, loop.yield_op()
    carried = [found.get(value) for value in loop.inits]
    for last in (False, False, True):
        found |= zip(block.args, carried, strict=True)
        _walk(block, found, required)
        after = [joined([a, found.get(value)]) for a, value in zip(carried, end.carried, strict=True)]
        if after == carried:
            break
        carried = [
            a if a == b and not last else (None if last else b) for a, b in zip(carried, after, strict=True)
        ]
    else:  # bounds that grow with each iteration
        found |= dict.fromkeys(block.args)
        _walk(block, found, required)
        carried = [None] * len(carried)
    found |= zip(loop.finals, carried, strict=True)
    found |= zip(loop.collected, [found.get(value) for value in end.collected], strict=True)


def joined(each: Sequence[Multiple | None]) -> Multiple | None:
    """Return what values are multiples of that are one of several."""
    known = [one for one in each if one is not None]
    units = {one.unit for one in known if one.unit}
    if len(known) < len(each) or len(units) > 1 or any(one.levels for one in known):
        return known[0] if known and len(known) == len(each) and len(set(known)) == 1 else None
    return Multiple(max(units, default=0.0), max(one.bound for one in known))


def common(numbers: Sequence[float]) -> tuple[float, tuple[float, ...]] | None:
    """Return a number of which all others are whole multiples, and these; None if none is found."""
    least = min((abs(each) for each in numbers if each), default=0.0)
    if not least:
        return None
    for divisor in range(1, 65):
        unit = least / divisor
        times = [each / unit for each in numbers]
        if all(abs(each - round(each)) <= 1e-9 * max(1, abs(each)) for each in times):
            whole = tuple(float(round(each)) for each in times)
            return (unit, whole) if max(map(abs, whole)) <= DENOMINATOR else None
    return None


def _of_levels(numbers: Sequence[float]) -> Multiple | None:
    if not any(numbers):
        return Multiple(0.0, 0.0)
    shared = common(numbers)
    return None if shared is None else Multiple(shared[0], max(map(abs, shared[1])))


def _made(op: Operation, found: Found, required: dict[SSAValue, ops.SetOp]) -> Multiple | None:
    """Return what the value of an op is a multiple of."""
    given = [found.get(value) for value in op.operands]
    match op:
        case ops.ParameterOp():
            return _parameter(required.get(op.result))
        case ops.ConstantOp():
            return _of_levels([op.number] if op.number is not None else list(op.entries))
        case ViewOp():
            return _viewed(op, given)
        case AtOp() | ops.IdentityOp():
            return given[0] if given[0] is not None and not given[0].levels else None
        case ops.QuantizeLinearOp():
            _, low, high = op.numbers()
            return Multiple(1.0, max(abs(low), abs(high)))
        case ops.QuantizeOp():
            return _of_levels(op.levels.get_values())
        case ops.PiecewiseOp():
            return _pieces(op, given[0])
        case ops.DotOp() | ops.ConvolutionOp() if _both(given):
            return _product(given, _terms(op))
        case ops.ProductOp() if _both(given):
            return _product(given, 1)
        case ops.SumOp() | ops.SumReluOp():
            return _sum(op, given)
        case ops.MaxOp() | ops.MinOp():
            return joined(given)
    return None


def _parameter(op: ops.SetOp | None) -> Multiple | None:
    if op is None:
        return None
    fields = op.fields()
    if op.kind.data == "powers_of_two":
        low, high = (
            each.value.data for each in (fields["low"], fields["high"]) if isinstance(each, IntegerAttr)
        )
        return Multiple(2.0**low, 2.0 ** (high - low))
    levels = fields["levels"]
    assert isinstance(levels, DenseArrayBase)
    if op.kind.data == "levels":
        return _of_levels(levels.get_values())
    shared, axes = common(levels.get_values()), fields["axes"]
    assert isinstance(axes, DenseArrayBase)
    if shared is None:
        return None
    whole = tuple(sorted(set(shared[1])))
    return Multiple(1.0, max(map(abs, whole)), whole, frozenset(axes.get_values()))


def _viewed(op: ViewOp, given: Sequence[Multiple | None]) -> Multiple | None:
    if isinstance(op, view.GatherOp):
        return given[0] if given[0] is not None and not given[0].levels else None
    if len(given) > 1 or given[0] is None or not given[0].levels:
        return joined(given)
    axes = given[0].axes
    match op:
        case view.TransposeOp():
            order = op.permutation.get_values()
            return replace(given[0], axes=frozenset(i for i, axis in enumerate(order) if axis in axes))
        case view.ReshapeOp():
            old, new = shape_of(op.operand), shape_of(op.result)
            merged = len(old) - len(new)
            front = merged >= 0 and (prod(old[: merged + 1]), *old[merged + 1 :]) == new
            if front and axes.issuperset(range(merged + 1)):
                after = {axis - merged for axis in axes if axis > merged}
                return replace(given[0], axes=frozenset({0, *after}))
    return None


def _pieces(op: ops.PiecewiseOp, given: Multiple | None) -> Multiple | None:
    edges, slopes, offsets = (list(each.get_values()) for each in (op.edges, op.slopes, op.offsets))
    if not any(slopes):
        return _of_levels(offsets)
    if given is None or given.levels or not given.unit or any(each not in (-1, 0, 1) for each in slopes):
        return None
    times = [each / given.unit for each in (*edges, *offsets)]
    if any(each % 1 for each in times):
        return None
    return replace(given, bound=given.bound + max(map(abs, times)))


def _both(given: Sequence[Multiple | None]) -> bool:
    return all(each is not None and not each.levels for each in given)


def _product(given: Sequence[Multiple | None], terms: int) -> Multiple:
    one, other = (each for each in given if each is not None)
    return Multiple(one.unit * other.unit, one.bound * other.bound * terms)


def _terms(op: ops.DotOp | ops.ConvolutionOp) -> int:
    """Return how many products an entry adds up."""
    shape = shape_of(op.rhs)
    return shape[-2] if isinstance(op, ops.DotOp) else prod(shape[:-1])


def _sum(op: ops.WeightedOp, given: Sequence[Multiple | None]) -> Multiple | None:
    known = [each for each in given if each is not None]
    if len(known) < len(given) or any(each.levels for each in known):
        return None
    if len(known) == 1 and not op.number() and not len(op.axes) and known[0].unit:
        return replace(known[0], unit=abs(op.each_weight()[0]) * known[0].unit)
    steps = [abs(weight) * each.unit for weight, each in zip(op.each_weight(), known, strict=True)]
    shared = common([*steps, op.number()])
    if shared is None or not Multiple(shared[0], 0).precise or not all(each.precise for each in known):
        return None  # rounded terms add up to what is near a multiple only
    along = prod(shape_of(op.terms[0])[axis] for axis in op.axes.get_values())
    unit, times = shared
    bound = sum(abs(times[i]) * each.bound for i, each in enumerate(known)) * along + abs(times[-1])
    return Multiple(unit, bound)
