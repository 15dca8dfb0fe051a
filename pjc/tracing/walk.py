"""The walk through a jaxpr: what each equation becomes.

Equations are read, never bound again; only those that depend on neither data nor parameters are computed.
What a handler returns is a value (:mod:`pjc.tracing.values`); statements are written on the way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import jax
import numpy as np
from jax.extend import core

from pjc.dialects import shapes
from pjc.tracing.pieces import Pieces
from pjc.tracing.refusal import Call, Origin, Refusals, Refused, origin
from pjc.tracing.text import Text, factor, number, shape_text, tuple_text
from pjc.tracing.values import (
    Constant,
    Failed,
    Function,
    Place,
    Shape,
    Tensor,
    Test,
    Value,
    compact,
    constant,
)

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

    # Jaxprs

    def closed(self, jaxpr: Any, arguments: Sequence[Value]) -> list[Value]:
        """Return what a jaxpr with its constants makes of the arguments."""
        return self.run(jaxpr.jaxpr, [constant(np.asarray(each)) for each in jaxpr.consts], arguments)

    def run(self, jaxpr: Any, consts: Sequence[Value], arguments: Sequence[Value]) -> list[Value]:
        """Return what a jaxpr makes of the arguments."""
        readers = Counter(
            atom for eqn in jaxpr.eqns for atom in eqn.invars if not isinstance(atom, core.Literal)
        )
        readers.update(atom for atom in jaxpr.outvars if not isinstance(atom, core.Literal))
        env: dict[Any, Value] = {}

        def read(atom: Any) -> Value:
            if isinstance(atom, core.Literal):
                return constant(np.asarray(atom.val))
            return env[atom]

        def write(var: Any, value: Value) -> None:
            if isinstance(value, Function) and value.pieces.edges and readers[var] > 1:
                value = self.tensor(value)
            env[var] = value

        for var, value in zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True):
            write(var, value)
        for eqn in jaxpr.eqns:
            for var, value in zip(
                eqn.outvars, self._equation(eqn, [read(a) for a in eqn.invars]), strict=True
            ):
                write(var, value)
        return [read(atom) for atom in jaxpr.outvars]

    def _equation(self, eqn: Any, given: list[Value]) -> list[Value]:
        """Return what an equation makes; failed values where it cannot be compiled."""
        name = eqn.primitive.name
        where = origin(eqn, self.calls)
        lost: list[Value] = [Failed(tuple(var.aval.shape)) for var in eqn.outvars]
        before = len(self.text.lines)
        known = name not in STRUCTURED and all(isinstance(each, Constant) for each in given)
        try:
            made = self._folded(eqn, given) if known else None
            if made is None:
                handler = HANDLERS.get(name)
                if handler is None:
                    self.refusals.unknown(name, where)
                    return lost
                if name not in STRUCTURED and any(isinstance(each, Failed) for each in given):
                    return lost
                made = handler(self, eqn, given)
        except Refused as refused:
            self.refusals.add(name, str(refused), refused.hint, where.line)
            return lost
        except (shapes.ShapeError, OverflowError) as error:
            self.refusals.add(name, str(error) or "it has too many pieces", None, where.line)
            return lost
        values = made if isinstance(made, list) else [made]
        if name not in STRUCTURED:
            self._note(name, where, values, before)
        return values

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
        outs = [var.aval for var in eqn.outvars]
        name = eqn.primitive.name
        if name == "broadcast_in_dim" and len(constants) == 1:
            return broadcast_constant(constants[0], outs[0].shape, eqn.params["broadcast_dimensions"])
        if name in ENTRYWISE:
            return self._entrywise(eqn, constants, outs[0])
        if not all(_is_settled(each.shape) for each in constants) or not all(
            _is_settled(out.shape) for out in outs
        ):
            return None
        if sum(prod(out.shape) for out in outs) > MAX_FOLDED:
            raise Refused(f"it makes a constant of {prod(outs[0].shape):,} numbers")
        whole = [np.broadcast_to(each.array, each.shape) for each in constants]
        return [
            constant(compact(np.asarray(each)), out.shape)
            for each, out in zip(computed(eqn, whole), outs, strict=True)
        ]

    def _entrywise(self, eqn: Any, constants: Sequence[Constant], out: Any) -> Value:
        """Compute entry by entry, with each distinct entry once."""
        rank = len(out.shape)
        arrays = [
            each.array.reshape((1,) * (rank - each.array.ndim) + each.array.shape) for each in constants
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
            case Test():
                raise Refused(
                    "it computes with a condition on values", "jnp.where, or a cast to numbers, has one"
                )
            case Place():
                raise Refused("it computes with the number of an iteration")
            case Failed():
                raise Refused("it reads what cannot be compiled")
        raise Refused("it computes with numbers of rows")

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
        stem, text = written(value.of.text, value.pieces)
        return self.text.bind(stem, text, value.shape, fed=value.of.fed)

    def expression(self, value: Value) -> str:
        """Return an expression for a value, in brackets where it is a sum."""
        if isinstance(value, Function) and not value.made and not value.pieces.edges:
            return written(value.of.text, value.pieces)[1]
        return self.floats(value).text

    def terms(self, given: Sequence[Value]) -> list[str]:
        """Return expressions that the language broadcasts to the largest of them.

        Constants stand without the repetition that broadcasting gives them, tensors without axes of size 1 in
        front; one of them keeps its own.
        """
        texts = [self._term(each) for each in given]
        flats = [each.flat if isinstance(each, Tensor) else None for each in given]
        if all(flat is not None for flat in flats):
            return texts
        return [text if flat is None else flat for text, flat in zip(texts, flats, strict=True)]

    def _term(self, value: Value) -> str:
        if isinstance(value, Constant) and not value.is_whole and value.number is None:
            return self.text.entries(value).text
        return self.expression(value)

    def broadcast(self, value: Tensor, shape: Shape, dims: Sequence[int]) -> Tensor:
        """Return a tensor with its axes at places of a larger shape, and repeated along the others."""
        middle = [1] * len(shape)
        for axis, place in enumerate(dims):
            middle[place] = value.shape[axis]
        text, flat = value.text, None
        front = len(shape) - len(value.shape)
        if list(dims) == list(range(front, len(shape))):
            flat = text if front and tuple(middle) == tuple(shape) else None
        if tuple(middle) != value.shape and (
            flat is not None or list(dims) != list(range(front, len(shape)))
        ):
            text = f"reshape({text}, {shape_text(tuple(middle))})"
        if tuple(middle) != tuple(shape):
            text = f"broadcast({text}, {shape_text(shape)})"
        return Tensor(text, tuple(shape), value.fed, value.whole, flat)

    def transposed(self, value: Tensor, permutation: Sequence[int]) -> Tensor:
        """Return a tensor with its axes in another order."""
        if list(permutation) == sorted(permutation):
            return value
        shape = tuple(value.shape[axis] for axis in permutation)
        return Tensor(f"transpose({value.text}, {tuple_text(permutation)})", shape, value.fed, value.whole)

    def reshaped(self, value: Tensor, shape: Shape) -> Tensor:
        """Return a tensor in another shape, by row-major order."""
        if tuple(shape) == value.shape:
            return value
        text = f"reshape({value.text}, {shape_text(tuple(shape))})"
        front = len(shape) - len(value.shape)
        raised = front > 0 and tuple(shape) == (1,) * front + value.shape
        return Tensor(text, tuple(shape), value.fed, value.whole, value.text if raised else None)


STRUCTURED: set[str] = set()
"""Primitives that hold jaxprs: their equations are noted one by one."""

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


def computed(eqn: Any, arrays: Sequence[Any]) -> list[Any]:
    """Return what an equation makes of numbers."""
    with jax.ensure_compile_time_eval():
        found = eqn.primitive.bind(*[jax.numpy.asarray(each) for each in arrays], **eqn.params)
    return [np.asarray(each) for each in (found if eqn.primitive.multiple_results else [found])]


def broadcast_constant(value: Constant, shape: Shape, dims: Sequence[int]) -> Constant:
    """Return a constant with its axes at places of a larger shape."""
    middle = [1] * len(shape)
    for axis, place in enumerate(dims):
        middle[place] = value.array.shape[axis]
    return constant(value.array.reshape(middle), shape)


def _is_settled(shape: Shape) -> bool:
    return all(isinstance(size, int) for size in shape)


def written(x: str, pieces: Pieces) -> tuple[str, str]:
    """Return a function of an expression in the language, and what to call it."""
    slopes, offsets = pieces.slopes, pieces.offsets
    if not pieces.edges:
        return "sum", _line(x, slopes[0], offsets[0])
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
    lists = (pieces.written_edges(), slopes, offsets)
    texts = ", ".join(tuple_text(number(each) for each in numbers) for numbers in lists)
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
