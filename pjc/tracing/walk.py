"""The walk through a jaxpr: what each equation becomes.

Equations are read, never bound again; only those that depend on neither data nor parameters are computed.
What a handler returns is a value (:mod:`pjc.tracing.values`); statements are written on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import isqrt, prod
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend import core

from pjc.dialects import shapes
from pjc.reading import reason
from pjc.tracing.pieces import Pieces
from pjc.tracing.refusal import Call, Origin, Refusals, Refused, origin
from pjc.tracing.text import MAX_ARRAY, Text, factor, number, tuple_text
from pjc.tracing.values import (
    PREFIX,
    Constant,
    Failed,
    Function,
    Keys,
    OneHot,
    Place,
    Shape,
    Size,
    Tensor,
    Test,
    Value,
    Wrap,
    constant,
    known,
)
from pjc.tracing.views import flat, is_moved, is_settled, long_axes, transposed

MAX_FOLDED = 2**26
"""The most numbers that an equation of constants may make."""

Handler: TypeAlias = Callable[["Walk", Any, list[Value]], "Value | list[Value]"]
HANDLERS: dict[str, Handler] = {}
"""What compiles equations, by their primitives."""
NOTES: dict[str, str] = {}
"""What each primitive becomes, for the documents."""


def handles(*primitives: str, becomes: str) -> Callable[[Handler], Handler]:
    """Return a decorator that enters what compiles equations of these primitives."""

    def enter(handler: Handler) -> Handler:
        for primitive in primitives:
            HANDLERS[primitive] = handler
            NOTES[primitive] = becomes
        return handler

    return enter


@dataclass(frozen=True)
class Row:
    """What became of a parameter or an equation: its place in the source, what it is, and the text."""

    place: str
    what: str
    became: str


class Walk:
    """One walk; ``text`` is what has been written, ``rows`` what became of each equation."""

    def __init__(self) -> None:
        self.text = Text()
        self.refusals = Refusals()
        self.rows: list[Row] = []
        self.requirements: list[Any] = []
        """What the function requires of its values, besides sets, which the text has in place."""
        self.calls: list[Call] = []
        """The calls that the equation at hand is in, the outermost first."""
        self.wanted: list[bool] = []
        """Which results of the equation at hand anything needs."""
        self.factors: set[str] = set()
        """The texts of what multiplies others entry by entry, along one axis at most."""
        self.contracted: set[str] = set()
        """The texts of what products of matrices are of."""

    # Jaxprs

    def closed(
        self, jaxpr: Any, arguments: Sequence[Value], wanted: Sequence[bool] | None = None
    ) -> list[Value]:
        """Return what a jaxpr with its constants makes of the arguments; as :meth:`run`."""
        consts = [known(each) for each in jaxpr.consts]
        return self.run(jaxpr.jaxpr, consts, arguments, wanted)

    def run(
        self,
        jaxpr: Any,
        consts: Sequence[Value],
        arguments: Sequence[Value],
        wanted: Sequence[bool] | None = None,
    ) -> list[Value]:
        """Return what a jaxpr makes of the arguments; what is not wanted is nothing of use."""
        outs = [
            atom for atom, is_wanted in zip(jaxpr.outvars, wanted or repeat(True), strict=False) if is_wanted
        ]
        live, needed = _live(jaxpr, outs)
        readers = Counter(
            atom
            for eqn, is_live in zip(jaxpr.eqns, live, strict=True)
            if is_live
            for atom in eqn.invars
            if not isinstance(atom, core.Literal)
        )
        readers.update(atom for atom in outs if not isinstance(atom, core.Literal))
        env: dict[Any, Value] = {}

        def read(atom: Any) -> Value:
            if isinstance(atom, core.Literal):
                return known(atom.val)
            return env[atom]

        for var, value in zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True):
            env[var] = value
        for eqn, is_live in zip(jaxpr.eqns, live, strict=True):
            if is_live:
                self.wanted = [var in needed for var in eqn.outvars]
                made = self._equation(eqn, [read(a) for a in eqn.invars], [readers[v] for v in eqn.outvars])
                env.update(zip(eqn.outvars, made, strict=True))
        unwanted = Size()
        return [
            env.get(atom, unwanted) if not isinstance(atom, core.Literal) else read(atom)
            for atom in jaxpr.outvars
        ]

    def _equation(self, eqn: Any, given: list[Value], readers: Sequence[int]) -> list[Value]:
        """Return what an equation makes; failed values where it cannot be compiled."""
        name = eqn.primitive.name
        if name not in STRUCTURED and eqn.outvars and all(_is_empty(var.aval.shape) for var in eqn.outvars):
            return [_empty(var.aval.shape) for var in eqn.outvars]
        where = origin(eqn, self.calls)
        lost: list[Value] = [Failed(tuple(var.aval.shape)) for var in eqn.outvars]
        before = len(self.text.lines)
        is_known = name not in UNKNOWN and all(isinstance(each, Constant | Keys) for each in given)
        try:
            made = self._folded(eqn, given) if is_known else None
            if made is None:
                handler = HANDLERS.get(name)
                if handler is None:
                    if any(isinstance(each, Place) for each in given):
                        raise Refused(
                            "it computes with the number of an iteration",
                            "a Python loop over range decides by it while it is traced",
                        )
                    whole = any(isinstance(each, Tensor) and each.whole for each in given)
                    self.refusals.unknown(name, where, whole=whole)
                    return lost
                if name not in STRUCTURED and any(isinstance(each, Failed) for each in given):
                    return lost
                if name not in STRUCTURED and any(_is_complex(var.aval) for var in eqn.outvars):
                    raise Refused("it computes with complex numbers", "compute their parts one by one")
                made = handler(self, eqn, given)
            values = made if isinstance(made, list) else [made]
            values = [self._kept(each, count) for each, count in zip(values, readers, strict=True)]
        except Refused as refused:
            self.refusals.refused(name, where, refused)
            return lost
        except (shapes.ShapeError, OverflowError) as error:
            self.refusals.add(name, str(error) or "it has too many pieces", None, where.line, None)
            return lost
        if name not in STRUCTURED:
            self._note(name, where, values, before)
        return values

    def _kept(self, value: Value, readers: int) -> Value:
        """Return what an equation makes as it is kept: by a name where several read what is no plain sum."""
        if isinstance(value, Function | Test) and not value.pieces.edges and value.pieces.slopes == (0.0,):
            kind = np.float32 if isinstance(value, Function) else np.bool_
            return constant(np.full((1,) * len(value.shape), value.pieces.offsets[0], kind), value.shape)
        if isinstance(value, Function) and value.pieces.edges and readers > 1:
            return self.tensor(value)
        return value

    def _note(self, name: str, where: Origin, values: Sequence[Value], before: int) -> None:
        lines = [line.strip() for line in self.text.lines[before:]]
        if lines:
            became = "; ".join(lines)
        elif all(isinstance(each, Constant) for each in values):
            became = "a constant"
        else:
            became = ", ".join(self._shown(each) for each in values)
        self.rows.append(Row(where.line, name, became))

    def _shown(self, value: Value) -> str:
        match value:
            case Tensor():
                return value.text
            case Function():
                return f"part of what reads it: {written(value.of.text, value.pieces)[1]}"
            case Place():
                return f"the place {value.text()} in a loop"
        return "part of what reads it"

    # Constants

    def _folded(self, eqn: Any, given: Sequence[Value]) -> Value | list[Value] | None:
        """Return what an equation of constants makes; None where a handler must say."""
        constants = [each for each in given if isinstance(each, Constant)]
        keys = len(constants) < len(given)
        outs = [var.aval for var in eqn.outvars]
        name = eqn.primitive.name
        if name == "broadcast_in_dim" and len(constants) == 1 and not keys:
            return broadcast_constant(constants[0], outs[0].shape, eqn.params["broadcast_dimensions"])
        if name in ENTRYWISE and not keys:
            return self._entrywise(eqn, constants, outs[0])
        if not all(is_settled(size) for each in (*given, *outs) for size in each.shape):
            return None
        most = max(sum(prod(each.shape) for each in several) for several in (outs, given))
        if most > MAX_FOLDED:
            raise Refused(f"it makes a constant of {most:,} numbers, or of as many")
        whole = [
            np.broadcast_to(_typed(each.array, var.aval), each.shape)
            if isinstance(each, Constant)
            else each.array
            for each, var in zip(given, eqn.invars, strict=True)
            if isinstance(each, Constant | Keys)
        ]
        return [known(each, out.shape) for each, out in zip(computed(eqn, whole), outs, strict=True)]

    def _entrywise(self, eqn: Any, constants: Sequence[Constant], out: Any) -> Value:
        """Compute entry by entry, with each distinct entry once."""
        rank = len(out.shape)
        arrays = [
            _typed(each.array, var.aval).reshape((1,) * (rank - each.array.ndim) + each.array.shape)
            for each, var in zip(constants, eqn.invars, strict=True)
        ]
        arrays = [np.array(each) for each in np.broadcast_arrays(*arrays)]
        (found,) = computed(eqn, arrays)
        return constant(np.asarray(found), out.shape)

    # Values as expressions

    def tensor(self, value: Value) -> Tensor:
        """Return a value as a tensor of its own shape, of which the text has the name or an expression."""
        match value:
            case Tensor():
                return value
            case Constant():
                return self.text.constant(value)
            case Function():
                if not value.made:
                    value.made.append(self._bound(value))
                return value.made[0]
            case OneHot():
                if not value.made:
                    value.made.append(self._coded(value))
                return value.made[0]
            case Test():
                raise Refused(
                    "it computes with a condition on values", "jnp.where, or a cast to numbers, has one"
                )
            case Place():
                raise Refused("it computes with the number of an iteration")
            case Failed():
                raise Refused("it reads what cannot be compiled")
            case Size():
                raise Refused(
                    "it computes with a size that is open, as that of the batch",
                    "give that dimension a number; samples are independent: a loss takes their mean",
                )
        raise Refused("it computes with numbers of rows")

    def note_factor(self, value: Value) -> None:
        """Note that a value multiplies another entry by entry: a vector of that kind starts at 1."""
        if isinstance(value, Function) and (value.pieces.edges or value.pieces.offsets != (0.0,)):
            return
        found = _of(value)
        if found is not None:
            held = found if found.narrow is None else found.narrow
            if len(long_axes(held.shape)) <= 1:
                self.factors.add(_root(found))

    def note_contracted(self, *values: Tensor) -> None:
        """Note that a product of matrices is of values."""
        self.contracted.update(map(_root, values))

    def floats(self, value: Value) -> Tensor:
        """Return a value as a tensor of numbers with fractions."""
        found = self.tensor(value)
        if found.whole:
            raise Refused(
                "it computes with an input of whole numbers", "rows of a table can be taken by them"
            )
        return found

    def _bound(self, value: Function) -> Tensor:
        if value.pieces.is_identity:
            return value.of
        stem = written("x", value.pieces)[0]
        return self.join(stem, [value.of], value.shape, lambda x: written(x, value.pieces)[1])

    def _coded(self, value: OneHot) -> Tensor:
        """Return a code as rows of the identity."""
        size = value.shape[value.axis]
        if not is_settled(size) or size**2 > MAX_ARRAY:
            raise Refused(
                f"it makes a code of numbers of rows that is {size} wide, more than {isqrt(MAX_ARRAY)}",
                "table[indices] takes rows of a table by number",
            )
        identity = self.text.entries(np.eye(size, dtype=np.float32))
        shape = (*value.rows.shape, size)
        made = self.text.bind("code", f"gather({identity.text}, {value.rows.text})", shape, fed=True)
        order = list(range(len(value.rows.shape)))
        return transposed(made, [*order[: value.axis], len(order), *order[value.axis :]])

    def expression(self, value: Value) -> str:
        """Return an expression for a value, in brackets where it is a sum."""
        if isinstance(value, Function) and not value.made and not value.pieces.edges:
            return _line(value.of.text, value.pieces.slopes[0], value.pieces.offsets[0])
        return self.floats(value).text

    def join(
        self, stem: str, given: Sequence[Value], shape: Sequence[Any], write: Callable[..., str]
    ) -> Tensor:
        """Bind what joins values entry by entry, which NumPy's rule broadcasts to a shape.

        It has its axes in the order of what it is a view of, as that of a convolution's result, if the others
        can be had in it as well.
        """
        given, order = self.aligned(given)
        own = tuple(shape) if order is None else tuple(shape[axis] for axis in _inverse(order))
        fed = any(is_fed(each) for each in given)
        made = self.text.bind(stem, write(*self.terms(given, own)), own, fed=fed)
        return made if order is None else transposed(made, order)

    def aligned(self, given: Sequence[Value]) -> tuple[list[Value], tuple[int, ...] | None]:
        """Return values in the order of axes of what one of them is a view of, and how to go back.

        They stay as they are, without an order, unless all can be had so without moving entries.
        """
        for each in given:
            order = _order(each)
            if order is None or any(len(other.shape) != len(order) for other in given):
                continue
            found = [permuted(other, _inverse(order)) for other in given]
            if not any(is_moved(of) for of in map(_of, found) if of is not None):
                return found, order
        return list(given), None

    def terms(self, given: Sequence[Value], shape: Sequence[Any]) -> list[str]:
        """Return expressions that the language broadcasts to a shape.

        They stand without the repetition that broadcasting gives them, and without axes of size 1 in front,
        where the others have the shape.
        """
        ways = [self._ways(each) for each in given]
        chosen = [0] * len(given)
        while not _covers([way[at][0] for way, at in zip(ways, chosen, strict=True)], shape):
            least = next((at for at, way in enumerate(ways) if chosen[at] + 1 < len(way)), None)
            if least is None:
                break
            chosen[least] += 1
        return [way[at][1]() for way, at in zip(ways, chosen, strict=True)]

    def _ways(self, value: Value) -> list[tuple[Shape, Callable[[], str]]]:
        """Return how a value can be written: with ever more of its own shape."""
        full = (value.shape, lambda: self.expression(value))
        if isinstance(value, Constant) and not value.is_whole and value.number is None:
            array = value.array
            inner = array.reshape(array.shape[_ones(array.shape) :])
            return [(each.shape, lambda of=each: self.text.entries(of).text) for each in (inner, array)] + [
                full
            ]
        if isinstance(value, Tensor) and not value.whole:
            held = value if value.narrow is None else value.narrow
            return [
                (held.shape[_ones(held.shape) :], lambda: flat(held)),
                (held.shape, lambda: held.text),
                full,
            ]
        return [full]

    def entrywise(self, stem: str, value: Tensor, text: str) -> Tensor:
        """Bind a function of a tensor, entry by entry; ``{x}`` in the text is the tensor."""
        return self.join(stem, [value], value.shape, lambda x: text.format(x=x))


def _live(jaxpr: Any, outs: Sequence[Any]) -> tuple[list[bool], set[Any]]:
    """Return which equations results need, or require something of a value; and all that is needed."""
    needed = {atom for atom in outs if not isinstance(atom, core.Literal)}
    found = []
    for eqn in reversed(jaxpr.eqns):
        found.append(any(var in needed for var in eqn.outvars) or _requires(eqn))
        if found[-1]:
            needed.update(atom for atom in eqn.invars if not isinstance(atom, core.Literal))
    return found[::-1], needed


def arguments_read(jaxpr: Any) -> tuple[bool, ...]:
    """Return which arguments of a jaxpr what it returns, or requires, may depend on."""
    _, needed = _live(jaxpr, jaxpr.outvars)
    return tuple(var in needed for var in jaxpr.invars)


def _requires(eqn: Any) -> bool:
    """Whether an equation calls a function that tracing knows by name, which may require a set."""
    name = eqn.params.get("name")
    if isinstance(name, str) and name.startswith(PREFIX):
        return True
    return any(_requires(inner) for jaxpr in core.jaxprs_in_params(eqn.params) for inner in jaxpr.eqns)


STRUCTURED: set[str] = set()
"""Primitives that hold jaxprs: their equations are noted one by one."""

UNKNOWN = STRUCTURED | {"dim_as_value"}
"""Primitives that are not computed, even of constants."""

ENTRYWISE = frozenset(
    {
        *("add", "add_any", "sub", "mul", "div", "rem", "neg", "abs", "sign", "max", "min", "clamp", "pow"),
        *("square", "integer_pow", "sqrt", "rsqrt", "cbrt", "exp", "exp2", "expm1", "log", "log1p", "erf"),
        *(
            "erfc",
            "erf_inv",
            "logistic",
            "tanh",
            "sin",
            "cos",
            "tan",
            "sinh",
            "cosh",
            "floor",
            "ceil",
            "round",
        ),
        *(
            "eq",
            "ne",
            "gt",
            "ge",
            "lt",
            "le",
            "and",
            "or",
            "not",
            "xor",
            "select_n",
            "is_finite",
            "nextafter",
        ),
        *("convert_element_type", "reduce_precision", "stop_gradient", "copy", "copy_p", "real"),
    }
)
"""Primitives that compute entry by entry: a constant that repeats itself is computed once."""


def _typed(array: np.ndarray[Any, Any], aval: Any) -> np.ndarray[Any, Any]:
    """Return an array of the type that an equation takes it in, where both are of floats.

    What was found to be a constant, as ``x - x``, is one of float32 whatever x is.
    """
    kind = getattr(aval, "dtype", array.dtype)
    both = array.dtype.kind == "f" and jax.numpy.issubdtype(kind, jax.numpy.floating)
    return array.astype(kind) if both else array


def computed(eqn: Any, arrays: Sequence[Any], **changed: Any) -> list[Any]:
    """Return what an equation, perhaps with other parameters, makes of numbers."""
    try:
        with jax.ensure_compile_time_eval():
            found = eqn.primitive.bind(
                *[jax.numpy.asarray(each) for each in arrays], **{**eqn.params, **changed}
            )
    except Exception as error:  # what the user's own callbacks raise, or XLA for want of memory
        raise Refused(f"it cannot be computed: {type(error).__name__}: {reason(error)}") from error
    return list(found) if eqn.primitive.multiple_results else [found]


def broadcast_constant(value: Constant, shape: Shape, dims: Sequence[int]) -> Constant:
    """Return a constant with its axes at places of a larger shape."""
    middle = [1] * len(shape)
    for axis, place in enumerate(dims):
        middle[place] = value.array.shape[axis]
    return constant(value.array.reshape(middle), shape)


def _is_empty(shape: Shape) -> bool:
    return any(isinstance(size, int) and size == 0 for size in shape)


def _empty(shape: Shape) -> Constant:
    """Return what has no entries, which concatenation leaves out."""
    return constant(np.zeros([0 if _is_empty((size,)) else 1 for size in shape], np.float32), shape)


def is_fed(value: Value) -> bool:
    """Whether a value depends on inputs."""
    found = value.rows if isinstance(value, OneHot) else _of(value)
    return found is not None and found.fed


def _of(value: Value) -> Tensor | None:
    """Return the tensor that a value is, or is a function of."""
    if isinstance(value, Function) and value.made:
        return value.made[0]
    return value.of if isinstance(value, Function | Test) else value if isinstance(value, Tensor) else None


def _root(value: Tensor) -> str:
    """Return the text of what a tensor is a view of, or has entries of."""
    while value.narrow is not None or value.source is not None:
        value = value.narrow if value.narrow is not None else value.source  # type: ignore[assignment]
    return value.text if value.cut is None else value.cut[0]


def _is_complex(aval: Any) -> bool:
    return bool(jax.numpy.issubdtype(getattr(aval, "dtype", np.float32), np.complexfloating))


def _inverse(permutation: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(int, np.argsort(permutation)))


def _order(value: Value) -> tuple[int, ...] | None:
    """Return the permutation that a value is a view by; None if it is no such view."""
    found = _of(value)
    if found is None or found.source is None or found.order is None or not is_moved(found):
        return None
    if len(found.source.shape) != len(found.shape):
        return None
    ones = iter(
        axis for axis, size in enumerate(found.source.shape) if axis not in long_axes(found.source.shape)
    )
    longs = dict(zip(long_axes(found.shape), found.order, strict=True))
    return tuple(longs[axis] if axis in longs else next(ones) for axis in range(len(found.shape)))


def seen(walk: Walk, value: Value, view: Callable[[Tensor], Tensor]) -> Value:
    """Return a view of a value; of what is a sum or a condition on a tensor, that of a view of the tensor."""
    if isinstance(value, Test):
        of = view(value.of)
        return Test(of, value.pieces, of.shape)
    if isinstance(value, Function) and not value.made and not value.pieces.edges:
        of = view(value.of)
        return Function(of, value.pieces, of.shape)
    return view(walk.tensor(value))


def permuted(value: Value, permutation: Sequence[int]) -> Value:
    """Return a value with its axes in another order."""
    match value:
        case Constant():
            shape = tuple(value.shape[axis] for axis in permutation)
            return constant(value.array.transpose(permutation), shape)
        case Tensor():
            return transposed(value, permutation)
        case Function() if value.made:
            return transposed(value.made[0], permutation)
        case Function():
            of = transposed(value.of, permutation)
            return Function(of, value.pieces, of.shape)
        case Test():
            of = transposed(value.of, permutation)
            return Test(of, value.pieces, of.shape)
        case Wrap():
            rows = transposed(value.rows, permutation)
            return Wrap(rows, rows.shape, value.added)
        case OneHot():
            rest = [axis - (axis > value.axis) for axis in permutation if axis != value.axis]
            shape = tuple(value.shape[axis] for axis in permutation)
            return OneHot(transposed(value.rows, rest), list(permutation).index(value.axis), shape)
    raise Refused("it moves what are no numbers")


def _ones(shape: Shape) -> int:
    longs = long_axes(shape)
    return longs[0] if longs else len(shape)


def _covers(shapes: Sequence[Shape], whole: Sequence[Any]) -> bool:
    """Whether shapes are broadcast to one."""
    rank = len(whole)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return all(any(shape[axis] == size for shape in padded) for axis, size in enumerate(whole)) and any(
        len(shape) == rank for shape in shapes
    )


def written(x: str, pieces: Pieces) -> tuple[str, str]:
    """Return a function of an expression in the language, and what to call it."""
    slopes, offsets = pieces.slopes, pieces.offsets
    if not pieces.edges:
        return "sum", _bare(x, slopes[0], offsets[0])
    if len(pieces.edges) == 1 and not pieces.jumps_at(0):
        low, high = (slopes[0], offsets[0]), (slopes[1], offsets[1])
        if low == (0, 0) or high == (0, 0):
            rising = high if low == (0, 0) else low
            # max(0, line): the line is above 0 on its own side, or below, which is the negative of a relu.
            above = (rising is high) == (rising[0] > 0)
            if above:
                return "relu", f"relu({_bare(x, *rising)})"
            return "sum", f"-relu({_bare(x, -rising[0], -rising[1])})"
        if pieces.edges[0].at == 0 and slopes == (-1.0, 1.0) and offsets == (0.0, 0.0):
            return "abs", f"abs({x})"
        if pieces.edges[0].at == 0 and slopes[1] == 1 and slopes[0] > 0 and offsets == (0.0, 0.0):
            return "leaky_relu", f"leaky_relu({x}, {number(slopes[0])})"
    if len(pieces.edges) == 2 and slopes == (0.0, 1.0, 0.0) and offsets[1] == 0:
        low_at, high_at = (edge.at for edge in pieces.edges)
        if (offsets[0], offsets[2]) == (low_at, high_at):
            return "clip", f"clip({x}, {number(low_at)}, {number(high_at)})"
    texts = ", ".join(tuple_text(number(each) for each in numbers) for numbers in pieces.written())
    return "piecewise", f"piecewise({x}, {texts})"


def _bare(x: str, slope: float, offset: float) -> str:
    text = _line(x, slope, offset)
    return text[1:-1] if text.startswith("(") and text.endswith(")") and text != x else text


def _line(x: str, slope: float, offset: float) -> str:
    """Return ``slope * x + offset``, in brackets where it is a sum."""
    if slope == 0:
        raise Refused("it does not depend on its operand, entry by entry", "give the number itself")
    text = x if slope == 1 else f"-{x}" if slope == -1 else f"{factor(slope)} * {x}"
    if offset:
        text += f" {'-' if offset < 0 else '+'} {number(abs(offset))}"
    return text if text == x else f"({text})"
