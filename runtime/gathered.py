"""The mean over the readers of a value, for paths of which some take rows by number.

How often they copy an entry is known only when the program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.dialects.shapes import Shape
from pjc.runtime.steps import Gathered
from pjc.runtime.views import Path, collect, counts, shape_after


def _gathers(path: Path) -> list[tuple[int, Gathered]]:
    """Return the steps of a path that take rows by number, each with its place."""
    return [(at, view) for at, view in enumerate(path) if isinstance(view, Gathered)]


def gathered_counts(path: Path, shape: Shape) -> Array:
    """Return how many copies a path makes of each entry of a value, for a path that may gather.

    The array broadcasts to the value's shape.
    """
    gathers = _gathers(path)
    if not gathers:
        return jnp.asarray(counts(path, shape))
    last, gather = gathers[-1]
    before = path[:last]
    inner = shape_after(before, shape)
    after = gather.step.result_shape(inner)
    made = counts(path[last + 1 :], after)
    if isinstance(made, int):
        rows = jnp.zeros(inner[0], jnp.int32).at[gather.indices].add(made)
        found = jnp.reshape(rows, (-1, *[1] * (len(inner) - 1)))
    else:
        found = gather.collect(jnp.broadcast_to(made, after), inner)
    return collect(jnp.broadcast_to(found, inner), before, shape) if before else found


class Reader(NamedTuple):
    """How many nodes a reader stands for, and its paths, by the name of the copies at their end.

    Each of its nodes reads all that the reader reads; or, ``apart``, its share of the copies' first axis.
    """

    nodes: int
    paths: list[tuple[str, Path]]
    apart: bool = False


def gathered_mean(
    readers: Sequence[Reader],
    copies: Mapping[str, Array],
    forward: Array,
    over: Callable[[Array], Array] = lambda found: found,
) -> Array:
    """Return the mean, over the readers of each entry, of each reader's mean over its copies of it.

    Entries without a reader keep their ``forward`` value. For paths of which some gather. ``over`` adds up
    what several devices found.
    """
    total = jnp.zeros(forward.shape, forward.dtype)
    count: Array = jnp.zeros((), jnp.int32)
    for nodes, paths, apart in readers:
        if apart:
            means, votes = _gathered_apart(nodes, paths, copies, forward.shape, over)
            total, count = total + means, count + votes
            continue
        found = over(jnp.asarray(sum(collect(copies[name], path, forward.shape) for name, path in paths)))
        made = over(jnp.asarray(sum(gathered_counts(path, forward.shape) for _, path in paths)))
        total = total + nodes * found / jnp.maximum(made, 1).astype(forward.dtype)
        count = count + nodes * jnp.minimum(made, 1)
    return jnp.where(count > 0, total / jnp.maximum(count, 1).astype(forward.dtype), forward)


def _gathered_apart(
    nodes: int,
    paths: Sequence[tuple[str, Path]],
    copies: Mapping[str, Array],
    shape: Shape,
    over: Callable[[Array], Array],
) -> tuple[Array, Array]:
    """Return, for each entry, the sum of its nodes' means, and how many nodes read it.

    A node's mean is the sum over its copies, each divided by how many it has of the entry. Each path gathers
    once; nothing before repeats entries.
    """
    taken = [_Taken.by(path, nodes, shape) for _, path in paths]
    numbers = [each.owner * each.rows + each.indices for each in taken]
    tail = np.broadcast_shapes(*(each.made.shape[each.indices.ndim :] for each in taken))
    total = jnp.zeros((nodes * taken[0].rows, *tail), jnp.int32)
    for number, each in zip(numbers, taken, strict=True):
        total = total.at[number].add(each.made)
    total = over(total)
    means: Array = jnp.zeros(shape, copies[paths[0][0]].dtype)
    votes = means
    for (name, path), each, number in zip(paths, taken, numbers, strict=True):
        before, rest = path[: each.at + 1], path[each.at + 1 :]
        found = collect(copies[name], rest, each.after)
        share = (1 / jnp.maximum(total[number], 1)).astype(found.dtype)
        means = means + collect(found * share, before, shape)
        votes = votes + collect(jnp.broadcast_to(each.made * share, each.after), before, shape)
    return over(means), over(votes)


class _Taken(NamedTuple):
    """How a path, whose step ``at`` gathers, takes rows: by which indices, of how many, for which node.

    ``made`` counts the copies of each place among the ``after`` entries of all rows that were taken; its axes
    behind those of the indices have size 1 where all agree.
    """

    at: int
    indices: Array
    rows: int
    owner: np.ndarray
    made: np.ndarray
    after: Shape

    @classmethod
    def by(cls, path: Path, nodes: int, shape: Shape) -> _Taken:
        """Return what a path does for a family of nodes that share the first axis of its copies evenly."""
        at, gather = _gathers(path)[0]
        indices, rest = gather.indices, path[at + 1 :]
        shape = shape_after(path[:at], shape)
        after = gather.step.result_shape(shape)
        made = np.asarray(counts(rest, after), np.int32)
        made = made.reshape(made.shape or (1,) * len(after))
        made = np.broadcast_to(made, (*indices.shape, *made.shape[indices.ndim :]))
        end = shape_after(rest, after)
        first = np.repeat(np.arange(nodes, dtype=np.int32), end[0] // nodes)
        with jax.ensure_compile_time_eval():
            marked = jnp.broadcast_to(first.reshape(-1, *[1] * (len(end) - 1)), end)
            summed = np.asarray(collect(marked, rest, after))
        owner = (summed // np.maximum(made, 1)).max(axis=tuple(range(indices.ndim, len(after))))
        return cls(at, indices, shape[0], owner, made, after)
