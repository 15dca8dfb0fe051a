"""Operators of the user's own: a function and its projection, written in jax.numpy for one site.

See docs/operators.md. Nothing here is read from a file: an operator exists once Python has registered it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
from jax import Array

from pjc.diagnostics import PjcError
from pjc.dialects.shapes import ShapeError
from pjc.dialects.signature import Signature
from pjc.frontends.own import know
from pjc.runtime.projections import OPERATORS, REGISTERED
from pjc.runtime.projections.operator import Operator


class OperatorError(PjcError, ValueError):
    """An operator that cannot be registered."""


@dataclass(frozen=True)
class OwnOperator(Operator):
    """An operator made of two functions for one site."""

    signature: ClassVar[Signature]
    function: ClassVar[Callable[..., Any]]
    projection: ClassVar[Callable[..., Any]]

    def forward(self, *inputs: Array) -> Array:
        sites = self.signature.sites([x.shape for x in inputs])
        return jnp.asarray(self._mapped(type(self).function, inputs, len(sites)))

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        sites = self.signature.sites([x.shape for x in inputs])
        *new, value = self._mapped(type(self).projection, (*inputs, z), len(sites))
        return tuple(new), value

    @staticmethod
    def _mapped(function: Callable[..., Any], arrays: tuple[Array, ...], sites: int) -> Any:
        for _ in range(sites):
            function = jax.vmap(function)
        return function(*map(jnp.asarray, arrays))


know(cast(Mapping[str, type[OwnOperator]], REGISTERED))  # operator() makes no others


def operator(
    name: str, signature: str, *, function: Callable[..., Any], projection: Callable[..., Any]
) -> type[OwnOperator]:
    """Register an operator, so that ``.pjn`` files can call it by its name.

    Args:
        name: a name of the language that is not taken: small letters, digits and ``_``.
        signature: the shapes of one site, as ``"[n], [n] -> []"``: sizes, or names of sizes.
        function: takes an array of each input's shape, returns one of the result's.
        projection: takes the inputs and a value z, returns the nearest point of the graph
            ``{(x, z) : z = function(x)}`` in the Euclidean norm: as many new inputs, and then the new value.
            Where the function jumps, the limit that makes the point nearest. Every finite argument must give
            a finite result. Both functions are traced by JAX, for one site at a time.

    Raises:
        OperatorError: if the name is no name, or taken; if the signature is none; if the functions do not
            return what it says, tried with sizes of 3.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise OperatorError(f"an operator's name is of small letters, digits and '_', found '{name}'")
    if name in OPERATORS:
        raise OperatorError(f"there is already an operator called '{name}'")
    try:
        parsed = Signature.parse(signature)
    except ShapeError as error:
        raise OperatorError(str(error) + (f"; {error.hint}" if error.hint else "")) from None
    made = {
        "name": name,
        "signature": parsed,
        "function": staticmethod(function),
        "projection": staticmethod(projection),
        "__doc__": function.__doc__,
    }
    cls: type[OwnOperator] = dataclass(frozen=True)(type(name, (OwnOperator,), made))
    _try(cls)
    REGISTERED[name] = cls
    return cls


def sample_shapes(signature: Signature, size: int = 3) -> list[tuple[int, ...]]:
    """Return shapes of one site's inputs in which every named size is the same."""
    return [tuple(each if isinstance(each, int) else size for each in shape) for shape in signature.inputs]


def _try(cls: type[OwnOperator]) -> None:
    """Raise OperatorError unless the two functions return what the signature says."""
    shapes = sample_shapes(cls.signature)
    result = cls.signature.result(shapes)
    inputs = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    value = jax.ShapeDtypeStruct(result, "float32")
    found = _shapes_of(cls.name, "function", cls.function, inputs)
    if found != [result]:
        raise OperatorError(f"the function of '{cls.name}' returns {found}, expected {[result]}")
    found = _shapes_of(cls.name, "projection", cls.projection, [*inputs, value])
    if found != [*shapes, result]:
        raise OperatorError(f"the projection of '{cls.name}' returns {found}, expected {[*shapes, result]}")


def _shapes_of(name: str, what: str, function: Callable[..., Any], given: list[Any]) -> list[tuple[int, ...]]:
    try:
        made = jax.eval_shape(function, *given)
    except Exception as error:  # the user's own code may raise anything
        raise OperatorError(f"the {what} of '{name}' fails: {type(error).__name__}: {error}") from error
    return [tuple(each.shape) for each in jax.tree.leaves(made)]
