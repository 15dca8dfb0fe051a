"""A model on its way into the language: its values by name, and the statements that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod, sqrt
from typing import Any

import numpy as np
import onnx

from pjc.diagnostics import code_of, of_kind
from pjc.dialects import shapes
from pjc.frontends.reserved import free_name, tuple_text
from pjc.onnx.constants import MAX_AXES, MAX_TOTAL, OPEN, Static, is_open, uniform
from pjc.onnx.reading import one_line
from pjc.onnx.sizes import SizeError, Sizes, stands_in

FIX = "give that dimension a fixed size"
MAX_LIST = 2**16
"""The longest list of axes, sizes or places that a node may read."""
MAX_CONSTANT = 2**12
"""Constants of more numbers become parameters: models hold weights as constants too."""


class Unsupported(Exception):
    """A node that has no counterpart; the text says why, ``hint`` what could be done."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Value:
    """A tensor of the model: the expression for it, and the shape that the model gives it.

    ``order`` tells for each axis of the expression which of the model's it is, where they differ: what
    comes from a convolution stays with its channels last until something asks for the model's order.
    """

    text: str
    shape: tuple[int, ...]
    order: tuple[int, ...] | None = None
    integer: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    def own_shape(self) -> tuple[int, ...]:
        """Return the shape of the expression."""
        return self.shape if self.order is None else tuple(self.shape[axis] for axis in self.order)


class Node:
    """A node of the model, with its attributes as Python values."""

    def __init__(self, proto: onnx.NodeProto, index: int, opset: int) -> None:
        self.proto = proto
        self.index = index
        self.opset = opset
        self.op = proto.op_type
        self.inputs = [str(name) for name in proto.input]
        self.attributes: dict[str, Any] = {
            each.name: onnx.helper.get_attribute_value(each)
            for each in proto.attribute
            if each.type not in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        }
        self.has_graph = len(self.attributes) < len(proto.attribute)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute; text as str."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def input(self, index: int) -> str:
        """Return the name of an input, empty where it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    @property
    def title(self) -> str:
        """Return what messages call the node."""
        name = f"'{one_line(self.proto.name)}' " if self.proto.name else ""
        return f"node {name}({self.op}, number {self.index})"


Handler = Callable[["Graph", Node], Value | Sequence[Value]]
HANDLERS: dict[str, Handler] = {}


def handles(*ops: str) -> Callable[[Handler], Handler]:
    """Return a decorator that enters what makes statements of nodes of these kinds."""

    def enter(handler: Handler) -> Handler:
        for op in ops:
            HANDLERS[op] = handler
        return handler

    return enter


@dataclass
class Graph:
    """What is known of a model so far, and the lines of its text."""

    sizes: Sizes
    initial: dict[str, Static]
    """Initializers of the model that hold numbers with fractions, by name."""
    statics: dict[str, Static] = field(default_factory=dict)
    """Values that do not depend on inputs or parameters."""
    values: dict[str, Value] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    """ONNX's types of values, where they are known; of constants they tell more than arrays do."""
    trained: set[str] = field(default_factory=set)
    """Initializers of one number that are to be parameters, wherever they would else be constants."""
    declared: set[str] = field(default_factory=set)
    """Initializers and constants that have become parameters."""
    parameters: dict[str, Static] = field(default_factory=dict)
    """The first values of the text's parameters."""
    recipes: dict[str, Callable[[], Static]] = field(default_factory=dict)
    """What computes the first values of what is made of initializers alone, where a node must know them."""
    sets: dict[str, str] = field(default_factory=dict)
    """What initializers are required to be in, as the text has it, by name."""
    made: int = 0
    """How many numbers the parameters hold that are no initializers."""
    inverses: dict[str, str] = field(default_factory=dict)
    """The names of parameters that start from inverses of divisors, by the divisors' names."""
    batch: int | None = None
    """The size of the batch, where the model has one."""
    taken: set[str] = field(default_factory=set)
    """The names of the text."""
    used: set[str] = field(default_factory=set)
    """The names of the model, of its values and of what was made beside them."""
    assumed: int = 0
    """The number that the model gives the batch, where it does not say that it may have another; else 0."""
    title: str = ""
    """What the text is to call the result of the node at hand."""
    indent: str = ""

    # What nodes read

    def tensor(self, name: str) -> Value:
        """Return a value that nodes compute with; an initializer or a constant becomes a statement now."""
        if name in self.values:
            return self.values[name]
        if name in self.initial:
            self.values[name] = self.parameter(name, self.initial[name])
        elif name in self.statics:
            array = self.statics[name]
            if array.size == 0:
                raise Unsupported(f"'{name}' has no entries")
            if is_open(array):
                raise Unsupported(OPEN, FIX)
            number = uniform(array)
            if number is None and array.size > MAX_CONSTANT:
                self.values[name] = self.parameter(name, array)
            elif number is None:
                self.values[name] = self.array(name, array)
            else:
                self.values[name] = self.full(array.shape, number)
        else:
            raise Unsupported(f"it reads '{name}', which nothing makes")
        return self.values[name]

    def full(self, shape: Sequence[int], number: float) -> Value:
        """Return a tensor that repeats a number."""
        if not np.isfinite(single(number)):
            raise Unsupported(f"it computes with {number:g}, which float32 does not hold as a finite number")
        return Value(f"full({self.sizes.shape(shape)}, {number:.9g})", tuple(shape))

    def array(self, name: str, array: Static) -> Value:
        """Declare a constant tensor."""
        numbers = _finite(name, array).astype(np.float64)
        own = self.name(name)
        self.line(f"{own} = array({numbers.tolist()})")
        return Value(own, tuple(array.shape))

    def is_known(self, name: str) -> bool:
        """Whether a value depends on no input."""
        return name in self.statics or name in self.initial or name in self.recipes

    def settled(self, name: str) -> Static | None:
        """Return a constant or the first value of an initializer, else None."""
        return self.statics[name] if name in self.statics else self.initial.get(name)

    def constant(self, name: str) -> None:
        """Take an initializer of one number for a constant."""
        if name in self.trained:
            return
        if name in self.initial and self.initial[name].size == 1 and name not in self.values:
            self.statics[name] = self.initial.pop(name)

    def static(self, name: str, what: str) -> Static:
        """Return a value that must be known when the model is read."""
        if name in self.trained:
            raise Unsupported(f"its {what} '{one_line(name)}' is asked to be trainable, and must be known")
        found = self._static(name, what)
        if is_open(found):
            raise Unsupported(f"its {what} depends on an open dimension", FIX)
        return found

    def known(self, name: str) -> Static:
        """Return a value that depends on no input (:meth:`is_known`)."""
        found = self.settled(name)
        return self.recipes[name]() if found is None else found

    def _static(self, name: str, what: str) -> Static:
        if self.is_known(name):
            return self.known(name)
        raise Unsupported(f"its {what} depends on the inputs", "it must be a constant or an initializer")

    def integers(self, name: str, what: str) -> list[int]:
        """Return a list of integers that must be known."""
        array = self._static(name, what)
        if array.size > MAX_LIST:
            raise Unsupported(f"its {what} has {array.size:,} entries")
        if is_open(array):
            return list(array.reshape(-1))
        return [int(each) for each in array.reshape(-1)]

    def scalar(self, name: str) -> float | None:
        """Return the number that a value repeats everywhere, where it is a constant."""
        return uniform(self.statics[name]) if name in self.statics else None

    def plain(self, name: str) -> Value:
        """Return a value whose expression has the model's order of axes."""
        return self.in_order(self.tensor(name), None)

    def in_order(self, value: Value, order: tuple[int, ...] | None) -> Value:
        """Return a value with its axes in another order."""
        if value.order == order:
            return value
        held = value.order or tuple(range(value.rank))
        wanted = order or tuple(range(value.rank))
        permutation = tuple(held.index(axis) for axis in wanted)
        return replace(value, text=f"transpose({value.text}, {tuple_text(permutation)})", order=order)

    def together(self, names: Iterable[str]) -> tuple[list[Value], tuple[int, ...], tuple[int, ...] | None]:
        """Return values ready to be broadcast, the shape that results, and its order of axes."""
        values = [self.tensor(name) for name in names]
        try:
            shape = shapes.broadcast_sizes([value.shape for value in values])
        except shapes.ShapeError as error:
            raise of_kind(code_of(error), Unsupported(str(error))) from error
        orders = {value.order for value in values if value.order is not None and value.rank == len(shape)}
        order = orders.pop() if len(orders) == 1 else None
        found = []
        for value in values:
            if order is not None and value.order is None and prod(value.shape) > 1:
                value = self.widened(value, len(shape))
                value = self.in_order(value, order)
            elif value.order != order:
                value = self.in_order(value, None)
            found.append(value)
        return found, shape, order

    def widened(self, value: Value, rank: int) -> Value:
        """Return a value with axes of size 1 in front."""
        if value.rank == rank:
            return value
        shape = (1,) * (rank - value.rank) + value.shape
        return Value(f"reshape({self.in_order(value, None).text}, {self.sizes.shape(shape)})", shape)

    # Samples of a batch

    def counts_samples(self, size: int) -> bool:
        """Whether a size is that of a batch which is only assumed to be open, or a multiple of it."""
        return bool(self.assumed) and self.batch is not None and stands_in(self.batch, size)

    def require_one_sample(self, what: str, *sizes: int) -> None:
        """Raise Unsupported if a node works along axes of these sizes, and several samples lie along one.

        What it gives for a sample would depend on the others: the batch keeps the model's own number then.
        """
        if any(self.counts_samples(size) for size in sizes):
            raise Unsupported(f"it {what} several samples of a batch")

    def require_apart(self, shape: Sequence[int]) -> None:
        """Raise Unsupported for a tensor with an entry for each pair of samples."""
        if sum(self.counts_samples(size) for size in shape) > 1:
            raise Unsupported("it pairs the samples of a batch with one another")

    # What the text says

    def unused(self, wanted: str) -> str:
        """Return a name like the one that is wanted, which nothing in the model has; it is taken then."""
        found, number = wanted, 2
        while found in self.used:
            found, number = f"{wanted}_{number}", number + 1
        self.used.add(found)
        return found

    def name(self, wanted: str) -> str:
        """Return a name of the language for a name of the model, one that nothing else has."""
        bare = wanted.removesuffix("_output_0")  # which PyTorch puts behind the names of nodes
        found = free_name(bare, self.taken)
        self.taken.add(found)
        return found

    def line(self, text: str) -> None:
        self.lines.append(self.indent + text)

    def bind(self, text: str, shape: Sequence[int], order: tuple[int, ...] | None = None) -> Value:
        """Give an expression a name, and return it as a value."""
        name = self.name(self.title)
        self.line(f"{name} = {text}")
        return Value(name, tuple(shape), order)

    def parameter(
        self, name: str, array: Static, *, fan_in: int | None = None, start: str | None = None
    ) -> Value:
        """Declare a parameter that starts from an array.

        Where it is drawn afresh it starts from ``start``: by default a matrix from a normal distribution
        scaled by its inputs (all axes but the first, unless ``fan_in`` says otherwise), a vector from zeros.
        """
        first = _finite(name, array)
        self.declared.add(name)
        if name not in self.initial:
            self.made += array.size
        if self.made > MAX_TOTAL:
            raise Unsupported("the model makes too many numbers of constants")
        own = self.name(name)
        if start is None and array.ndim > 1:
            start = f"normal({sqrt(2 / (fan_in or max(1, prod(array.shape[1:])))):.4g})"
        start = start or "zeros"
        self.line(f"param {own}: f32{_dims(self.sizes, array.shape)} = {start}")
        self.parameters[own] = first
        if name in self.sets:
            self.line(f"require {own} in {self.sets[name]}")
        return Value(own, tuple(array.shape))

    def reshaped(self, value: Value, shape: Sequence[int]) -> Value:
        """Return a value in another shape, by row-major order of the model's axes."""
        if tuple(shape) == value.shape:
            return value
        if len(shape) > MAX_AXES:
            raise Unsupported(f"it makes a tensor of {len(shape)} axes")
        if prod(shape) != prod(value.shape):
            raise Unsupported(f"{list(value.shape)} has not as many entries as {list(shape)}")
        plain = self.in_order(value, None)
        try:
            text = self.sizes.shape(shape)
        except SizeError as error:
            raise of_kind(code_of(error), Unsupported(str(error))) from error
        return self.bind(f"reshape({plain.text}, {text})", shape)


def _finite(name: str, array: Static) -> Static:
    """Return an array as float32, or raise Unsupported where that holds its numbers as no finite ones."""
    with np.errstate(over="ignore"):
        found = np.asarray(array, np.float32)
    if not np.isfinite(found).all():
        raise Unsupported(f"'{one_line(name)}' holds a number that is not finite, or too large for float32")
    return found


def single(number: float) -> float:
    """Return a number as float32 holds it; infinite where it is too large."""
    with np.errstate(over="ignore"):
        return float(np.float32(number))


def _dims(sizes: Sizes, shape: Sequence[int]) -> str:
    return "[" + ", ".join(sizes.show(size) for size in shape) + "]"
