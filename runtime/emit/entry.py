"""The entry points of a program: what is staged, saved, and called by a ``Program``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from pjc.dialects import proj
from pjc.runtime.emit.emitter import Emitter
from pjc.runtime.emit.iterate import Moving, in_pairs, repeat
from pjc.runtime.emit.parameters import read_slots
from pjc.runtime.emit.required import RESIDUAL, constrained, kept, resumed, within
from pjc.runtime.emit.stream import Stream
from pjc.runtime.emit.variables import Fixed, State
from pjc.runtime.line import Line
from pjc.runtime.outer_settings import CUT, HELD, SAID, TICK, TOLD
from pjc.runtime.placement import Sharding
from pjc.runtime.products import PRODUCTS
from pjc.runtime.program import Tensors
from pjc.runtime.sampled import TRACE


def entry_points(
    emitter: Emitter, products: str = "f32", on_mesh: Emitter | None = None, tells: bool = False
) -> dict[str, Callable[..., Any]]:
    """Return the entry points of a program, each pure and traceable; training ones if it has a loss.

    ``products`` is one of :data:`PRODUCTS`; ``on_mesh`` emits what trains on a mesh of devices, if it does.
    Where it ``tells``, what trains has beside what happened also ``"trace"``: see :mod:`.telling`.
    """

    def init(key_data: Array) -> Any:
        return emitter.init(jax.random.wrap_key_data(key_data))

    found: dict[str, Callable[..., Any]] = {"init": init, "apply": emitter.apply}
    if emitter.program.iterate_op() is not None:
        found |= _training(on_mesh or emitter, tells)
    if emitter.program.sweep_op() is not None:
        found |= _sweeping(on_mesh or emitter, tells)
    if emitter.program.stage_ops():
        found |= _streaming(emitter, on_mesh or emitter)
    if emitter.sets:
        found["finish"] = lambda params: constrained(emitter.sets, params)[0]
    return {name: _with_products(function, products) for name, function in found.items()}


def _training(emitter: Emitter, tells: bool) -> dict[str, Callable[..., Any]]:
    """Return the training entry points, as all devices run them."""
    program, variables, measures, sets = emitter.program, emitter.variables, emitter.measures, emitter.sets
    paired = in_pairs(program, variables)

    def run(begun: tuple[State, Fixed], iterations: Array | int) -> tuple[Moving, Any]:
        """Return what is after the iterations, and each node's square gap in the last one."""
        state, fixed = begun
        advance = functools.partial(emitter.iterate, fixed=fixed)
        return repeat(advance, measures.square_gaps, emitter.first(state), iterations, paired)

    def update(params: Tensors, data: Tensors, iterations: Array | int) -> Any:
        start, _ = constrained(sets, params)
        begun = emitter.start(start, data)
        moved, squares = run(begun, iterations)
        state = moved.state
        after = read_slots(program, variables, start, state)
        info = {"gap": measures.total_gap(squares), "t": measures.multipliers(state)}
        info |= _summed(emitter.losses(*begun))
        if sets:
            info["violation"] = constrained(sets, after)[1]
        if tells:
            info[TRACE] = emitter.tell(moved, begun[1])
        return resumed(sets, params, start, after), info

    def gap(params: Tensors, data: Tensors, iterations: Array | int) -> Any:
        (state, _), squares = run(emitter.start(params, data), iterations)
        return {
            "gap": measures.total_gap(squares),
            "nodes": measures.node_gaps(squares),
            "t": measures.multipliers(state),
            "dropped": measures.dropped(state),
        }

    mapped = functools.partial(emitter.placement.mapped, data=_data_shardings(program))
    return {"update": mapped(update), "gap": mapped(gap)}


def _sweeping(emitter: Emitter, tells: bool) -> dict[str, Callable[..., Any]]:
    """Return the entry points of a program that is trained by sweeps, as all devices run them."""
    sets = emitter.sets

    def displacement(params: Tensors, data: Tensors, weights: Array | None = None) -> Any:
        start, distances = constrained(sets, params)
        found, told = emitter.sweep(start, data, weights, tells)
        moved = {name: jnp.zeros_like(value) for name, value in params.items()} | found.displacement
        info = _told(found.demands) | _summed(list(found.losses.values()))
        if sets:
            info["violation"] = distances
        if tells:
            info[TRACE] = told
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


def _streaming(emitter: Emitter, on_mesh: Emitter) -> dict[str, Callable[..., Any]]:
    """Return the entry points of a program that is trained by streams, and what its outer step is made of.

    ``displacement`` is that of one batch alone, on its way through all stages, on one device: the mean of
    those of sweeps on its pieces. The others are what each device does that ``on_mesh`` emits for.
    """
    alone, pieces = _tick(emitter), emitter.program.pieces
    stream = Stream(emitter.program, emitter.variables)

    def displacement(params: Tensors, data: Tensors) -> Any:
        def go(carried: Any, piece: Tensors | None) -> Any:
            held, moved, info = carried
            held, _worked, more, told = alone(params, held, piece)
            told = _info_of(told)
            told.pop("violation", None)
            return (held, *jax.tree.map(jnp.add, (moved, info), (more, told))), None

        begun = stream.start()
        gives = jax.eval_shape(lambda: alone(params, begun, None)[2:])
        moved, info = jax.tree.map(lambda each: jnp.zeros(each.shape, each.dtype), gives)
        info = _info_of(info)
        info.pop("violation", None)
        distances = {"violation": constrained(emitter.sets, params)[1]} if emitter.sets else {}
        after, _ = lax.scan(go, (begun, moved, info), stream.cut(data))
        (_, moved, info), _ = lax.scan(go, after, length=stream.ticks)
        moved, info = jax.tree.map(lambda each: each / pieces, (moved, info))
        return moved, info | distances | _told(info["requirements"])

    found: dict[str, Callable[..., Any]] = {"displacement": displacement}
    found |= {
        TICK: _tick(on_mesh),
        SAID: _said_by_all(on_mesh.placement.line),
        TOLD: _info_of,
        HELD: stream.start,
        CUT: stream.cut,
    }
    if emitter.sets:
        found["keep"] = lambda params: kept(emitter.sets, params)
    return found


def _tick(emitter: Emitter) -> Callable[..., Any]:
    """Return what a device does at a tick of a stream.

    It is a function of parameters, of what is held, and of a piece of a batch or None. It gives what is held
    then, which stages worked, displacements, and what :func:`_info_of` makes of what happened.
    """
    stream = Stream(emitter.program, emitter.variables, emitter.placement)
    # Several parameters together are in a set only where there is but one device along the stack.
    homes = {each.label: stream.homes.get(each.parameters[0], "everywhere") for each in emitter.sets}

    def tick(params: Tensors, held: Tensors, data: Tensors | None) -> Any:
        start, distances = constrained(emitter.sets, params)
        found = stream.tick(start, held, data)
        moved = {name: jnp.zeros_like(value) for name, value in params.items()}
        moved |= within(emitter.sets, start, found.swept.displacement)
        said: dict[str, Any] = {"requirements": found.swept.demands, "losses": found.swept.losses}
        if homes:
            said["violation"] = {
                name: stream.line.part(homes[name], each) for name, each in distances.items() if name in homes
            }
            said["residual"] = {
                name: stream.line.only_at(homes[name.removesuffix(RESIDUAL)], each)
                for name, each in distances.items()
                if name not in homes
            }
        return found.held, found.worked, moved, said

    return tick


def _said_by_all(line: Line) -> Callable[[Any], Any]:
    """Return what makes of what each device said of ticks what they say together."""

    def together(said: Mapping[str, Any]) -> dict[str, Any]:
        roots = {name: said[name] for name in ("requirements", "violation") if name in said}
        squares, losses = line.total((jax.tree.map(jnp.square, roots), said["losses"]))
        found = {**jax.tree.map(jnp.sqrt, squares), "losses": losses}
        return found | ({"residual": line.largest(said["residual"])} if said.get("residual") else {})

    return together if line.devices > 1 else dict


def _info_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told of a tick of a stream, of what was said by it."""
    info = _told(said["requirements"]) | _summed(list(said["losses"].values()))
    if "violation" in said:
        info["violation"] = {**said["violation"], **said.get("residual", {})}
    return info


def _told(demands: Mapping[str, Array]) -> dict[str, Any]:
    """Return what is told of the root mean squares that requirements demand."""
    squares = jnp.array([each**2 for each in demands.values()] or [0.0])
    return {"demand": jnp.sqrt(jnp.mean(squares)), "requirements": demands}


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
