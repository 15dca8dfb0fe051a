"""What the readers of a node agree on for its value: the mean of their means."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from pjc.dialects import proj
from pjc.dialects.view import shape_of
from pjc.runtime.combination import LazyState, added
from pjc.runtime.emit.values import dtype_of
from pjc.runtime.emit.variables import Fixed, Variables
from pjc.runtime.gathered import Reader, gathered_mean
from pjc.runtime.program import Tensors
from pjc.runtime.steps import bound
from pjc.runtime.views import collect, counts


def agreed(op: proj.GatherOp, variables: Variables, lazy: LazyState, fixed: Fixed, metric: Tensors) -> Array:
    """Return what the readers agree on, over all devices.

    ``metric`` has weights of copies that count more or less than others, by variable.
    """
    read = {path.variable.data: added(lazy[path.variable.data]) for path in op.paths}
    kept = fixed.forward.get(op.node.data)
    if metric.keys() & read.keys():
        # Both means divide by the same numbers of readers and copies: their ratio is the weighted mean.
        weights = {name: jnp.broadcast_to(metric.get(name, 1), each.shape) for name, each in read.items()}
        weights = {name: each.astype(read[name].dtype) for name, each in weights.items()}
        weighted = {name: weights[name] * each for name, each in read.items()}
        ones = None if kept is None else jnp.ones_like(kept)
        value = _gathered(op, variables, weighted, fixed.data, kept)
        value = value / _gathered(op, variables, weights, fixed.data, ones)
    else:
        value = _gathered(op, variables, read, fixed.data, kept)
    placement, readers = variables.placement, [path.variable.data for path in op.paths]
    if any(placement.pieces(variables.by_name[name].sharding) > 1 for name in readers):
        value = placement.mean(op.sharding, value)
    return placement.placed(op.sharding, value)


def kept_nodes(program: proj.ProgramOp, variables: Variables) -> frozenset[str]:
    """Return the nodes with entries that nobody reads, or perhaps nobody.

    What their readers agree on has the forward values there.
    """
    gathers = [op for op in program.walk() if isinstance(op, proj.GatherOp)]
    return frozenset(
        op.node.data for op in gathers if _reads_by_number(op) or np.min(_readers(op, variables)) == 0
    )


def _gathered(
    op: proj.GatherOp, variables: Variables, state: Tensors, data: Tensors, kept: Array | None
) -> Array:
    """Return the mean over the readers; where there are none it is what is ``kept``."""
    shape = shape_of(op.result)
    if _reads_by_number(op):
        over = partial(variables.placement.total, op.sharding)
        assert kept is not None
        return gathered_mean(_groups(op, variables, data), state, kept, over)
    means, weights = [], []
    for nodes, paths, _ in _groups(op, variables, {}):
        found = sum(collect(state[name], path, shape) for name, path in paths)
        made = np.asarray(sum(counts(path, shape) for _, path in paths))
        means.append(found / np.maximum(made, 1).astype(dtype_of(op.result)))
        weights.append(nodes * np.minimum(made, 1))
    readers = np.asarray(sum(weights, np.zeros((), np.int64)))
    mean = means[0] if len(means) == 1 else _averaged(means, weights, readers, dtype_of(op.result))
    return jnp.asarray(mean) if kept is None else jnp.where(readers > 0, mean, kept)


def _reads_by_number(op: proj.GatherOp) -> bool:
    """Whether some reader's copies depend on indices, so that the counts are known only at run time."""
    return any(path.by_number() for path in op.paths)


def _groups(op: proj.GatherOp, variables: Variables, data: Tensors) -> list[Reader]:
    """Return the readers of a value."""
    found: dict[tuple[str, int], Reader] = {}
    for path in op.paths:
        name = path.variable.data
        key = variables.node(name), path.group.data
        reader = found.setdefault(key, Reader(path.nodes.data, [], bool(path.apart.data)))
        reader.paths.append((name, bound(path.way(), data)))
    return list(found.values())


def _averaged(
    means: Sequence[Array], weights: Sequence[np.ndarray], readers: np.ndarray, dtype: np.dtype[Any]
) -> Array:
    """Return the mean of the readers' means, each with as many votes as nodes of it read an entry."""
    total: Any = 0
    for mean, weight in zip(means, weights, strict=True):
        total = total + (mean if np.all(weight == 1) else mean * weight.astype(dtype))
    return jnp.asarray(total / np.maximum(readers, 1).astype(dtype))


def _readers(op: proj.GatherOp, variables: Variables) -> np.ndarray:
    """Return how many nodes read each entry."""
    shape = shape_of(op.result)
    found = np.zeros((), np.int64)
    for nodes, paths, _ in _groups(op, variables, {}):
        made = sum(counts(path, shape) for _, path in paths)
        found = found + nodes * np.minimum(made, 1)
    return found
