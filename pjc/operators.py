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

from pjc.diagnostics import PjcError, code_of, of_kind
from pjc.dialects.shapes import ShapeError
from pjc.dialects.signature import Signature
from pjc.frontends.own import know
from pjc.runtime.projections import OPERATORS, REGISTERED
from pjc.runtime.projections.operator import Operator


class OperatorError(PjcError, ValueError):
    """An operator that cannot be registered."""


@dataclass(frozen=True)
class OwnOperator(Operator):
    """An operator made of two functions for one site.

    The class is called on arrays: it returns what the function gives, at every site, also inside of a
    function that :func:`pjc.trace` reads.
    """

    signature: ClassVar[Signature]
    function: ClassVar[Callable[..., Any]]
    projection: ClassVar[Callable[..., Any]]
    response: ClassVar[Callable[..., Any] | None]
    amplification: ClassVar[Callable[..., Any] | None]
    bridge: ClassVar[Callable[..., Any] | None]

    def __new__(cls, *arrays: Any) -> Any:
        if not arrays:
            return super().__new__(cls)
        from pjc.tracing.vocabulary import apply_operator

        try:
            cls.signature.result([jnp.shape(each) for each in arrays])
        except ShapeError as error:
            raise of_kind(code_of(error), OperatorError(f"{cls.name}: {error}")) from None
        return apply_operator(cls, arrays)

    def forward(self, *inputs: Array) -> Array:
        sites = self.signature.sites([x.shape for x in inputs])
        return jnp.asarray(self._mapped(type(self).function, inputs, len(sites)))

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        sites = self.signature.sites([x.shape for x in inputs])
        *new, value = self._mapped(type(self).projection, (*inputs, z), len(sites))
        return tuple(new), value

    @property
    def precise(self) -> bool:
        return type(self).response is not None

    def bridged(self) -> Operator:
        return self if type(self).bridge is None else Bridged(self)

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        response = type(self).response
        if response is None:
            return super().respond(inputs, demand, weight)
        sites = self.signature.sites([x.shape for x in inputs])
        moves = self._mapped(response, (*inputs, demand, self._weights(inputs, weight)), len(sites))
        return tuple(jax.tree.leaves(moves))

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        amplification = type(self).amplification
        if amplification is None:
            return 1 / weight + 1 if self.precise else super().gain(inputs, weight)
        sites = self.signature.sites([x.shape for x in inputs])
        found = jnp.asarray(self._mapped(amplification, (*inputs, self._weights(inputs, weight)), len(sites)))
        return jnp.expand_dims(found, tuple(range(len(sites), len(sites) + len(self.signature.output))))

    def spread(self, site: Array, like: Array) -> Array:
        sites = site.ndim - len(self.signature.output)
        return jnp.expand_dims(site.reshape(site.shape[:sites]), tuple(range(sites, like.ndim)))

    def _weights(self, inputs: tuple[Array, ...], weight: Array | float) -> Array:
        """Return the weight of each site; one that broadcasts against the demand has an entry for each."""
        sites = self.signature.sites([x.shape for x in inputs])
        given = jnp.asarray(weight, inputs[0].dtype)
        if given.ndim > len(sites):
            given = given.reshape(given.shape[: len(sites)])
        return jnp.broadcast_to(given, sites)

    @staticmethod
    def _mapped(function: Callable[..., Any], arrays: tuple[Array, ...], sites: int) -> Any:
        for _ in range(sites):
            function = jax.vmap(function)
        return function(*map(jnp.asarray, arrays))


@dataclass(frozen=True)
class Bridged(Operator):
    """What a sweep takes an own operator with jumps for: its bridge, on which its response is."""

    own: OwnOperator

    @property
    def precise(self) -> bool:
        return self.own.precise

    def forward(self, *inputs: Array) -> Array:
        bridge = type(self.own).bridge
        assert bridge is not None, "only operators with a bridge are bridged"
        sites = self.own.signature.sites([x.shape for x in inputs])
        return jnp.asarray(OwnOperator._mapped(bridge, inputs, len(sites)))

    def project(self, inputs: tuple[Array, ...], z: Array) -> tuple[tuple[Array, ...], Array]:
        moves = self.respond(inputs, z - self.forward(*inputs), 1.0)
        new = tuple(x + move for x, move in zip(inputs, moves, strict=True))
        return new, self.forward(*new)

    def respond(self, inputs: tuple[Array, ...], demand: Array, weight: Array | float) -> tuple[Array, ...]:
        return self.own.respond(inputs, demand, weight)

    def gain(self, inputs: tuple[Array, ...], weight: Array | float) -> Array | float:
        return self.own.gain(inputs, weight)

    def spread(self, site: Array, like: Array) -> Array:
        return self.own.spread(site, like)


know(cast(Mapping[str, type[OwnOperator]], REGISTERED))  # operator() makes no others


def operator(
    name: str,
    signature: str,
    *,
    function: Callable[..., Any],
    projection: Callable[..., Any],
    respond: Callable[..., Any] | None = None,
    gain: Callable[..., Any] | None = None,
    bridge: Callable[..., Any] | None = None,
) -> type[OwnOperator]:
    """Register an operator, so that ``.pjn`` files can call it by its name.

    Args:
        name: a name of the language that is not taken: small letters, digits and ``_``.
        signature: the shapes of one site, as ``"[n], [n] -> []"``: sizes, or names of sizes.
        function: takes an array of each input's shape, returns one of the result's.
        projection: takes the inputs and a value z, returns the nearest point of the graph
            ``{(x, z) : z = function(x)}`` in the Euclidean norm: as many new inputs, and then the new value.
            Where the function jumps, the limit that makes the point nearest. Every finite argument must give
            a finite result. All functions are traced by JAX, for one site at a time.
        respond: takes the inputs, a demand d of the value's shape and a weight u > 0, returns how the inputs
            move (one array, or a tuple of one for each): ``argmin |D|^2 + u |g(x + D) - g(x) - d|^2`` with g
            the bridge, or the function. Without it sweeps project, which loses small demands.
        gain: takes the inputs and u, returns the number that the response is multiplied with so that an easy
            site passes demands on undiminished; ``(1 + u) / u`` if not given.
        bridge: takes what the function takes: g without jumps, which sweeps take the function for.

    Raises:
        OperatorError: if the name is no name, or taken; if the signature is none; if the functions do not
            return what it says, tried with sizes of 3; if there is a gain or bridge but no response.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise OperatorError(f"an operator's name is of small letters, digits and '_', found '{name}'")
    if name in OPERATORS:
        raise OperatorError(f"there is already an operator called '{name}'")
    try:
        parsed = Signature.parse(signature)
    except ShapeError as error:
        raise OperatorError(str(error) + (f"; {error.hint}" if error.hint else "")) from None
    lonely = next((what for what, one in (("gain", gain), ("bridge", bridge)) if one is not None), None)
    if respond is None and lonely is not None:
        raise OperatorError(
            f"'{name}' has a {lonely} but no response: the projection is onto the function's own graph, and "
            f"knows neither; give respond= too, or leave {lonely}= out"
        )
    made = {
        "name": name,
        "signature": parsed,
        "function": staticmethod(function),
        "projection": staticmethod(projection),
        "response": None if respond is None else staticmethod(respond),
        "amplification": None if gain is None else staticmethod(gain),
        "bridge": None if bridge is None else staticmethod(bridge),
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
    """Raise OperatorError unless the functions return what the signature says."""
    shapes = sample_shapes(cls.signature)
    result = cls.signature.result(shapes)
    inputs = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
    value = jax.ShapeDtypeStruct(result, "float32")
    weight = jax.ShapeDtypeStruct((), "float32")
    for what, function, given, expected in (
        ("function", cls.function, inputs, [result]),
        ("projection", cls.projection, [*inputs, value], [*shapes, result]),
        ("response", cls.response, [*inputs, value, weight], shapes),
        ("gain", cls.amplification, [*inputs, weight], [()]),
        ("bridge", cls.bridge, inputs, [result]),
    ):
        if function is None:
            continue
        found = _shapes_of(cls.name, what, function, given)
        if found != expected:
            raise OperatorError(f"the {what} of '{cls.name}' returns {found}, expected {expected}")


def _shapes_of(name: str, what: str, function: Callable[..., Any], given: list[Any]) -> list[tuple[int, ...]]:
    try:
        made = jax.eval_shape(function, *given)
    except Exception as error:  # the user's own code may raise anything
        raise OperatorError(f"the {what} of '{name}' fails: {type(error).__name__}: {error}") from error
    return [tuple(each.shape) for each in jax.tree.leaves(made)]
