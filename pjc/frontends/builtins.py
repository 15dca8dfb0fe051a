"""The functions of the language: a name, what its arguments are, and the method of a Site that builds it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from pjc.builder.network import Site
from pjc.builder.values import Tensor
from pjc.dialects.ops import FUNCTIONS as DECLARED
from pjc.dialects.ops import ElementwiseOp, operator_of
from pjc.frontends import convert
from pjc.frontends.convert import integer, integers, number, operands, tensor, widths
from pjc.frontends.values import Function, Slot

Converter = Callable[[Any], Any]


def function(name: str, build: Callable[..., Any], /, **converters: Converter) -> Function:
    """Return a function of the language; what ``build`` has defaults for is optional."""
    parameters = inspect.signature(build).parameters
    slots: list[Slot] = []
    for argument, _ in converters.items():
        parameter = parameters[argument]
        rest = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        named = any(slot.rest for slot in slots)
        slots.append(Slot(argument, parameter.default is inspect.Parameter.empty, rest, named))
    return Function(name, tuple(slots), converters, build)


_ALL = (
    # Arithmetic
    function("matmul", Site.matmul, a=tensor, b=tensor),
    function("dot", Site.matmul, a=tensor, b=tensor),
    function("add", Site.add, inputs=operands),
    function("sum", Site.sum, inputs=operands, axis=integers),
    function("relu", Site.relu, x=tensor),
    function("sum_relu", Site.sum_relu, inputs=operands, axis=integers),
    function("max", Site.max, x=tensor, axis=integers),
    function("maximum", Site.maximum, inputs=operands),
    function("min", Site.min, x=tensor, axis=integers),
    function("minimum", Site.minimum, inputs=operands),
    function("mean", Site.mean, x=tensor, axis=integers),
    function("abs", Site.abs, x=tensor),
    function("leaky_relu", Site.leaky_relu, x=tensor, slope=number),
    function("clip", Site.clip, x=tensor, low=number, high=number),
    function("sign", Site.sign, x=tensor, margin=number),
    function("step", Site.step, x=tensor, threshold=number, margin=number),
    function(
        *("piecewise", Site.piecewise),
        x=tensor,
        edges=convert.levels,
        slopes=convert.numbers,
        offsets=convert.numbers,
        margin=number,
    ),
    function(
        *("quantize", Site.quantize),
        x=tensor,
        levels=convert.levels,
        bits=integer,
        scale=convert.positive,
        signed=integer,
    ),
    function("full", Site.full, shape=integers, value=number),
    function("array", Site.array, values=convert.array),
    # Views
    function("reshape", Site.reshape, x=tensor, shape=integers),
    function("transpose", Site.transpose, x=tensor, permutation=integers),
    function("concat", Site.concat, inputs=operands, axis=integer),
    function("stack", Site.stack, inputs=operands, axis=integer),
    function("broadcast", Site.broadcast, x=tensor, shape=integers),
    function("expand", Site.expand, x=tensor, axis=integer),
    function("squeeze", Site.squeeze, x=tensor, axis=integers),
    function("pad", Site.pad, x=tensor, widths=widths),
    function("embedding", Site.gather, table=tensor, indices=tensor),
    function("gather", Site.gather, table=tensor, indices=tensor),
    function("flatten", Site.flatten, x=tensor),
    # Images
    function(
        *("conv2d", Site.conv2d),
        x=tensor,
        weight=tensor,
        strides=convert.pair,
        padding=convert.padding,
        dilation=convert.pair,
        groups=integer,
    ),
    function(
        *("max_pool", Site.max_pool),
        x=tensor,
        window=convert.pair,
        strides=convert.pair,
        dilation=convert.pair,
    ),
    function(
        *("avg_pool", Site.avg_pool),
        x=tensor,
        window=convert.pair,
        strides=convert.pair,
        dilation=convert.pair,
    ),
)


def of_operation(kind: type[ElementwiseOp]) -> Function:
    """Return the function of an operation that works entry by entry: of a tensor and its numbers."""
    slots = [Slot(name, required=default is None) for name, default in kind.NUMBERS.items()]
    converters: dict[str, Converter] = {"x": tensor, **dict.fromkeys(kind.NUMBERS, number)}

    def build(site: Site, x: Tensor, **numbers: float) -> Tensor:
        return site.elementwise(kind, x, **numbers)

    return Function(operator_of(kind), (Slot("x"), *slots), converters, build)


FUNCTIONS: dict[str, Function] = {each.name: each for each in (*_ALL, *map(of_operation, DECLARED))}
