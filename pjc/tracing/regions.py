"""Functions that tracing knows by name: they stand in a jaxpr as calls, whose names find them here again.

Outside of a trace they are what they call, so they may be jitted, mapped and run as any other function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import jax

from pjc.tracing.values import Tensor, Value

if TYPE_CHECKING:
    from pjc.tracing.walk import Walk

PREFIX = "pjc:"


@dataclass(frozen=True)
class Region:
    """A function that tracing knows.

    Attributes:
        compute: what it computes, on arrays.
        build: what it becomes: given the walk and tensors, and the shape of the result.
        lasts: whether it treats last axes as one: mapped axes must then stand in front.
    """

    compute: Callable[..., Any]
    build: Callable[[Walk, list[Tensor], tuple[Any, ...]], Value]
    lasts: bool = False


_KNOWN: list[Region] = []


@cache
def entered(region: Region) -> Callable[..., Any]:
    """Return the function of a region, to be called on arrays."""
    _KNOWN.append(region)

    def function(*arrays: Any) -> Any:
        return region.compute(*arrays)

    function.__name__ = function.__qualname__ = f"{PREFIX}{len(_KNOWN) - 1}"
    named = jax.jit(function)
    return _differentiable(_mapped_in_front(named), region) if region.lasts else named


def _mapped_in_front(named: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that ``vmap`` gives its arrays with the mapped axis in front."""
    front = jax.custom_batching.custom_vmap(lambda *arrays: named(*arrays))

    @front.def_vmap
    def _(size: int, batched: Sequence[bool], *arrays: Any) -> tuple[Any, bool]:
        found = [
            array if mapped else jax.numpy.broadcast_to(array, (size, *array.shape))
            for array, mapped in zip(arrays, batched, strict=True)
        ]
        return front(*found), True

    return front


def _differentiable(named: Callable[..., Any], region: Region) -> Callable[..., Any]:
    """Return a function with the derivatives of what it computes: JAX has none of those mapped by a rule."""
    whole = jax.custom_jvp(lambda *arrays: named(*arrays))

    @whole.defjvp
    def _(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        return whole(*primals), jax.jvp(region.compute, primals, tangents)[1]

    return whole


def region(walk: Walk, eqn: Any, given: Sequence[Value]) -> list[Value] | None:
    """Return what a call of a function that is known becomes; None for any other call."""
    name = eqn.params.get("name", "")
    if not isinstance(name, str) or not name.startswith(PREFIX):
        return None
    found = _KNOWN[int(name.removeprefix(PREFIX))]
    tensors = [walk.floats(each) for each in given]
    return [found.build(walk, tensors, tuple(eqn.outvars[0].aval.shape))]
