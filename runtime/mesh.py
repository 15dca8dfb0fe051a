"""A mesh of devices, and what a loop's iterations say to their neighbours on it.

The mesh has three axes. Over ``sample`` a program runs as one program a device (``jax.shard_map``), each on
its share of the batch; over ``feature`` and ``stack`` XLA's partitioner splits the tensors as they are
annotated. What it would do badly is written here by hand: iterations that are moved on by one go to the
next device, not around by all of them, and the forward pass of a loop runs stage by stage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import AxisType, Mesh
from jax.sharding import PartitionSpec as P

from pjc.dialects.axes import MESH_AXES, STACK


def make_mesh(sizes: Mapping[str, int]) -> Mesh:
    """Return the mesh of all devices, with so many along each axis; their product is that of all."""
    shape = tuple(sizes[axis] for axis in MESH_AXES)
    return jax.make_mesh(shape, MESH_AXES, axis_types=(AxisType.Auto,) * len(MESH_AXES))


def stages() -> int:
    """Return over how many devices XLA's partitioner may split the iterations of loops; 1 off a mesh."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh.shape.get(STACK, 1) if STACK not in mesh.manual_axes else 1


def _splits(value: Any, by: int) -> bool:
    count = stages()
    return count > 1 and value.shape[0] % count == 0 and by <= value.shape[0] // count


def _each_stage(function: Callable[..., Any], *arguments: Any, specs: Any, out: Any) -> Any:
    """Return the function's value where each device has its own iterations."""
    mapped = jax.shard_map(function, in_specs=specs, out_specs=out, axis_names={STACK}, check_vma=False)
    return mapped(*arguments)


def shifted(value: Any, by: int) -> Any:
    """Return the entries moved on along the first axis, which begins with zeros."""
    if not _splits(value, by):
        return jnp.concatenate([jnp.zeros_like(value[:by]), value[:-by]])
    pairs = [(i, i + 1) for i in range(stages() - 1)]

    def stage(own: Array) -> Array:
        return jnp.concatenate([lax.ppermute(own[-by:], STACK, pairs), own[:-by]])

    return _each_stage(stage, value, specs=P(STACK), out=P(STACK))


def shifted_back(value: Any, by: int) -> Any:
    """Return the entries moved back along the first axis, which ends with zeros: the adjoint of shifted."""
    if not _splits(value, by):
        return jnp.concatenate([value[by:], jnp.zeros_like(value[:by])])
    pairs = [(i + 1, i) for i in range(stages() - 1)]

    def stage(own: Array) -> Array:
        return jnp.concatenate([own[by:], lax.ppermute(own[:by], STACK, pairs)])

    return _each_stage(stage, value, specs=P(STACK), out=P(STACK))


def in_range(value: Any, start: int, end: int) -> Array:
    """Return which entries of the first axis are in a range, in a shape that broadcasts to the value's."""
    index = lax.broadcasted_iota(jnp.int32, (value.shape[0], *[1] * (value.ndim - 1)), 0)
    return (start <= index) & (index < end)


Body = Callable[[list[Array], list[Array], list[Array]], tuple[list[Array], list[Array]]]
"""(carried, slices, common) -> (carried, collected)"""


def scan(
    body: Body,
    carried: list[Array],
    scanned: list[Array],
    common: list[Array],
    count: int,
    *,
    reverse: bool = False,
) -> tuple[list[Array], list[Array]]:
    """Return what a loop carries in the end, and what it collects, with the iterations along its first axis.

    On a mesh every stage has its own iterations. In turn, each runs them, and hands what it carries to the
    next: while one does, the others do the same on values that are not used. Of a loop that is so split an
    empty list stands for what it carries in the end.

    Args:
        body: one iteration.
        carried: what the first iteration gets.
        scanned: what each iteration gets a slice of.
        common: what all iterations get.
        count: the number of iterations.
        reverse: whether the last iteration is the first; such a loop is not split over stages.
    """
    number = stages()
    if reverse or number == 1 or count % number:
        return _scan(body, carried, scanned, common, count, reverse)
    pairs = [(i, i + 1) for i in range(number - 1)]

    def stage(carried: list[Array], scanned: list[Array], common: list[Array]) -> list[Array]:
        run = partial(_scan, body, scanned=scanned, common=common, count=count // number)

        def turn(which: Array, state: Any) -> Any:
            carried, kept = state
            after, made = run(carried)
            mine = which == lax.axis_index(STACK)
            kept = [jnp.where(mine, new, old) for new, old in zip(made, kept, strict=True)]
            return [lax.ppermute(each, STACK, pairs) for each in after], kept

        kept = [jnp.zeros(each.shape, each.dtype) for each in jax.eval_shape(run, carried)[1]]
        found: list[Array] = lax.fori_loop(0, number, turn, (carried, kept))[1]
        return found

    specs = (P(), P(STACK), P())
    return [], _each_stage(stage, carried, scanned, common, specs=specs, out=P(STACK))


def _scan(
    body: Body,
    carried: list[Array],
    scanned: list[Array],
    common: list[Array],
    count: int,
    reverse: bool = False,
) -> tuple[list[Array], list[Array]]:
    def step(carried: list[Array], slices: list[Array]) -> tuple[list[Array], list[Array]]:
        return body(carried, slices, common)

    found: tuple[list[Array], list[Array]] = lax.scan(step, carried, scanned, length=count, reverse=reverse)
    return found
