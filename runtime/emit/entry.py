"""The entry points of a program: what is staged, saved, and called by a ``Program``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from pjc.dialects import proj
from pjc.runtime.emit.emitter import Emitter
from pjc.runtime.emit.iterate import in_pairs, repeat
from pjc.runtime.emit.parameters import read_slots
from pjc.runtime.emit.required import constrained, kept, resumed
from pjc.runtime.emit.variables import Fixed, State
from pjc.runtime.placement import Sharding
from pjc.runtime.products import PRODUCTS
from pjc.runtime.program import Tensors


def entry_points(
    emitter: Emitter, products: str = "f32", on_mesh: Emitter | None = None
) -> dict[str, Callable[..., Any]]:
    """Return the entry points of a program, each pure and traceable; training ones if it has a loss.

    ``products`` is one of :data:`PRODUCTS`; ``on_mesh`` emits what trains on a mesh of devices, if it does.
    """

    def init(key_data: Array) -> Any:
        return emitter.init(jax.random.wrap_key_data(key_data))

    found: dict[str, Callable[..., Any]] = {"init": init, "apply": emitter.apply}
    if emitter.program.iterate_op() is not None:
        found |= _training(on_mesh or emitter)
    if emitter.program.sweep_op() is not None:
        found |= _sweeping(on_mesh or emitter)
    if emitter.sets:
        found["finish"] = lambda params: constrained(emitter.sets, params)[0]
    return {name: _with_products(function, products) for name, function in found.items()}


def _training(emitter: Emitter) -> dict[str, Callable[..., Any]]:
    """Return the training entry points, as all devices run them."""
    program, variables, measures, sets = emitter.program, emitter.variables, emitter.measures, emitter.sets
    paired = in_pairs(program, variables)

    def run(begun: tuple[State, Fixed], iterations: Array | int) -> Any:
        """Return the state after the iterations, and each node's square gap in the last one."""
        state, fixed = begun
        advance = functools.partial(emitter.iterate, fixed=fixed)
        found, squares = repeat(advance, measures.square_gaps, emitter.first(state), iterations, paired)
        return found.state, squares

    def update(params: Tensors, data: Tensors, iterations: Array | int) -> Any:
        start, _ = constrained(sets, params)
        begun = emitter.start(start, data)
        state, squares = run(begun, iterations)
        after = read_slots(program, variables, start, state)
        info = {"gap": measures.total_gap(squares), "t": measures.multipliers(state)}
        info |= _summed(emitter.losses(*begun))
        if sets:
            info["violation"] = constrained(sets, after)[1]
        return resumed(sets, params, start, after), info

    def gap(params: Tensors, data: Tensors, iterations: Array | int) -> Any:
        state, squares = run(emitter.start(params, data), iterations)
        return {
            "gap": measures.total_gap(squares),
            "nodes": measures.node_gaps(squares),
            "t": measures.multipliers(state),
            "dropped": measures.dropped(state),
        }

    mapped = functools.partial(emitter.placement.mapped, data=_data_shardings(program))
    return {"update": mapped(update), "gap": mapped(gap)}


def _sweeping(emitter: Emitter) -> dict[str, Callable[..., Any]]:
    """Return the entry points of a program that is trained by sweeps, as all devices run them."""
    sets = emitter.sets

    def displacement(params: Tensors, data: Tensors, weights: Array | None = None) -> Any:
        start, distances = constrained(sets, params)
        found = emitter.sweep(start, data, weights)
        moved = {name: jnp.zeros_like(value) for name, value in params.items()} | found.displacement
        squares = jnp.array([each**2 for each in found.demands.values()] or [0.0])
        info = {"demand": jnp.sqrt(jnp.mean(squares)), "requirements": found.demands}
        info |= _summed(list(found.losses.values()))
        if sets:
            info["violation"] = distances
        return moved, info

    def weighted(params: Tensors, data: Tensors, weights: Array) -> Any:
        return displacement(params, data, weights)

    mapped = functools.partial(emitter.placement.swept, data=_data_shardings(emitter.program))
    found: dict[str, Callable[..., Any]] = {"displacement": mapped(displacement)}
    if emitter.program.batch is not None:
        found["displacement_weighted"] = mapped(weighted)
    if sets:
        found["keep"] = lambda params: kept(sets, params)
    return found


def _summed(losses: Sequence[Array]) -> dict[str, Any]:
    """Return the sum of the losses as what an update tells of it; nothing where only sets are required.

    Where that is more than its type holds, it is the most that this does.
    """
    if not losses:
        return {}
    total = functools.reduce(jnp.add, losses)
    return {"loss": jnp.minimum(total, jnp.finfo(total.dtype).max)}


def _data_shardings(program: proj.ProgramOp) -> dict[str, Sharding]:
    """Return how the data of a batch are split over the devices, by label."""
    return {op.label.data: op.sharding for op in program.walk() if isinstance(op, proj.DatumOp)}


def _with_products(function: Callable[..., Any], products: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def traced(*arguments: Any) -> Any:
        with jax.default_matmul_precision(PRODUCTS[products]):
            return function(*arguments)

    return traced
