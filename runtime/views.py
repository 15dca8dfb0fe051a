"""Views on arrays: what a step does to a value, and how the copies made by a path are added up again.

A step is ``(kind, lists of integers)`` as in the view dialect; a path is a sequence of steps. The step
``gather`` holds an array of row numbers instead, which may be traced: what depends on it is known only when
the program runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pjc.runtime.mesh import in_range, shifted, shifted_back, stages

Step = tuple[str, tuple[Any, ...]]


def spread(value: Any, path: Sequence[Step], fill: int = 0) -> Any:
    """Return the copies that a path makes of a value; entries of other owners are zero.

    ``fill`` is what pads hold.
    """
    for kind, numbers in path:
        match kind, numbers:
            case "reshape", (shape,):
                value = jnp.reshape(value, shape)
            case "transpose", (permutation,):
                value = jnp.transpose(value, permutation)
            case "broadcast", (shape, dims):
                value = lax.broadcast_in_dim(value, shape, dims)
            case "slice", (starts, limits, strides):
                value = lax.slice(value, starts, limits, strides)
            case "pad", (low, high):
                value = _padded(value, low, high, fill)
            case "place", ((axis, offset, size),):
                value = _padded(value, *_margins(value.shape, axis, offset, size), 0)
            case "patches", (axes, window, strides):
                value = _patches(value, axes, window, strides)
            case "gather", (indices,):
                value = jnp.take(value, indices, axis=0)  # a number out of range gives NaN
            case "shift", ((by,),):
                value = shifted(value, by)
            case _:
                raise ValueError(f"unknown view step '{kind}'")
    return value


def write(copies: Array | None, value: Array, path: Sequence[Step], shape: tuple[int, ...]) -> Array:
    """Return the copies, of the given shape, with those that the path makes of a value written over them.

    Where there are no copies yet, those of other owners are zero.
    """
    if owns_all(path):
        return jnp.asarray(spread(value, path))
    copies = jnp.zeros(shape, value.dtype) if copies is None else copies
    *before, (kind, numbers) = path
    inner = value.shape
    for step in before:
        inner = _shape_after(step, inner)
    match kind, numbers:
        case "reshape", _:
            return write(copies.reshape(inner), value, before, inner).reshape(shape)
        case "transpose", (permutation,):
            back = [int(axis) for axis in np.argsort(permutation)]
            return jnp.transpose(write(jnp.transpose(copies, back), value, before, inner), permutation)
        case "place", ((0, offset, _),) if stages() > 1 and owns_all(before):
            return jnp.where(in_range(copies, offset, offset + inner[0]), spread(value, path), copies)
        case "place", ((axis, offset, _),):
            own = lax.slice_in_dim(copies, offset, offset + inner[axis], axis=axis)
            return lax.dynamic_update_slice_in_dim(copies, write(own, value, before, inner), offset, axis)
        case "shift", ((by,),) if stages() > 1 and owns_all(before):
            return jnp.where(in_range(copies, by, shape[0]), spread(value, path), copies)
        case "shift", ((by,),) if owns_all(before):
            return lax.dynamic_update_slice_in_dim(copies, spread(value, before)[:-by], by, 0)
    mine = spread(jnp.ones_like(value), path, fill=1) > 0
    return jnp.where(mine, spread(value, path), copies)


def collect(copies: Array, path: Sequence[Step], shape: tuple[int, ...]) -> Array:
    """Return, for each entry of a value of the given shape, the sum of its copies: spread's adjoint."""
    shapes = [shape]
    for step in path:
        shapes.append(_shape_after(step, shapes[-1]))
    for (kind, numbers), before in zip(reversed(path), reversed(shapes[:-1]), strict=True):
        copies = _collected(copies, kind, numbers, before)
    return copies


def _collected(
    copies: Array, kind: str, numbers: tuple[tuple[int, ...], ...], before: tuple[int, ...]
) -> Array:
    match kind, numbers:
        case "reshape", _:
            return jnp.reshape(copies, before)
        case "transpose", (permutation,):
            return jnp.transpose(copies, [int(axis) for axis in np.argsort(permutation)])
        case "broadcast", (shape, dims):
            repeated = [axis for axis in range(len(shape)) if axis not in dims]
            repeated += [d for d, size in zip(dims, before, strict=True) if size < shape[d]]
            return jnp.reshape(jnp.sum(copies, axis=tuple(repeated)), before)
        case "slice", (starts, _, strides):
            config = [
                (start, size - start - (count - 1) * stride - 1, stride - 1)
                for start, stride, size, count in zip(starts, strides, before, copies.shape, strict=True)
            ]
            return lax.pad(copies, jnp.zeros((), copies.dtype), config)
        case "pad", (low, _):
            return lax.slice(copies, low, [a + size for a, size in zip(low, before, strict=True)])
        case "place", ((axis, offset, _),):
            return lax.slice_in_dim(copies, offset, offset + before[axis], axis=axis)
        case "patches", (axes, window, strides):
            return _summed_patches(copies, axes, window, strides, before)
        case "gather", (indices,):
            return jnp.zeros(before, copies.dtype).at[indices].add(copies)
        case "shift", ((by,),):
            return jnp.asarray(shifted_back(copies, by))
    raise ValueError(f"unknown view step '{kind}'")


def gathered_counts(path: Sequence[Step], shape: tuple[int, ...]) -> Array:
    """Return how many copies a path makes of each entry of a value, for a path that may gather.

    The array broadcasts to the value's shape.
    """
    last = max((at for at, (kind, _) in enumerate(path) if kind == "gather"), default=-1)
    if last < 0:
        return jnp.asarray(counts(path, shape))
    before, indices = path[:last], path[last][1][0]
    inner = shape
    for step in before:
        inner = _shape_after(step, inner)
    made = counts(path[last + 1 :], (*indices.shape, *inner[1:]))
    if isinstance(made, int):
        rows = jnp.zeros(inner[0], jnp.int32).at[indices].add(made)
        found = jnp.reshape(rows, (-1, *[1] * (len(inner) - 1)))
    else:
        every = jnp.broadcast_to(made, (*indices.shape, *inner[1:]))
        found = collect(every, [path[last]], inner)
    return collect(jnp.broadcast_to(found, inner), before, shape) if before else found


class Reader(NamedTuple):
    """How many nodes a reader stands for, and its paths, by the name of the copies at their end.

    Each of its nodes reads all that the reader reads; or, ``apart``, its share of the copies' first axis.
    """

    nodes: int
    paths: list[tuple[str, Sequence[Step]]]
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
    paths: Sequence[tuple[str, Sequence[Step]]],
    copies: Mapping[str, Array],
    shape: tuple[int, ...],
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
    after: tuple[int, ...]

    @classmethod
    def by(cls, path: Sequence[Step], nodes: int, shape: tuple[int, ...]) -> _Taken:
        """Return what a path does for a family of nodes that share the first axis of its copies evenly."""
        at = next(index for index, (kind, _) in enumerate(path) if kind == "gather")
        indices, rest = path[at][1][0], path[at + 1 :]
        for step in path[:at]:
            shape = _shape_after(step, shape)
        after = (*indices.shape, *shape[1:])
        made = np.asarray(counts(rest, after), np.int32)
        made = made.reshape(made.shape or (1,) * len(after))
        made = np.broadcast_to(made, (*indices.shape, *made.shape[indices.ndim :]))
        end = after
        for step in rest:
            end = _shape_after(step, end)
        first = np.repeat(np.arange(nodes, dtype=np.int32), end[0] // nodes)
        with jax.ensure_compile_time_eval():
            marked = jnp.broadcast_to(first.reshape(-1, *[1] * (len(end) - 1)), end)
            summed = np.asarray(collect(marked, rest, after))
        owner = (summed // np.maximum(made, 1)).max(axis=tuple(range(indices.ndim, len(after))))
        return cls(at, indices, shape[0], owner, made, after)


def counts(path: Sequence[Step], shape: tuple[int, ...]) -> np.ndarray | int:
    """Return how many copies a path makes of each entry of a value.

    One number where all agree, else an array of the value's rank, with size 1 along axes that do not matter.
    The path must not gather; see :func:`gathered_counts`.
    """
    shapes = [shape]
    for step in path:
        shapes.append(_shape_after(step, shapes[-1]))
    made = np.ones([1] * len(shapes[-1]), np.int64)
    for step, before, after in zip(reversed(path), shapes[-2::-1], reversed(shapes[1:]), strict=True):
        counted = _counted(made, step, before, after)
        if counted is None:
            return _counts_by_index(path, shape)
        made = counted
    return int(made.flat[0]) if made.size == 1 else made


def _counted(
    made: np.ndarray, step: Step, before: tuple[int, ...], after: tuple[int, ...]
) -> np.ndarray | None:
    """Return the counts before a step from those after it; None where axes mix that differ in them."""
    match step:
        case ("reshape", _):
            return _reshaped_counts(made, before, after)
        case ("transpose", (permutation,)):
            return made.transpose(np.argsort(permutation))
        case ("broadcast", (_, dims)):
            repeated = [axis for axis in range(len(after)) if axis not in dims]
            repeated += [d for d, size in zip(dims, before, strict=True) if size < after[d]]
            for axis in repeated:
                made = made.sum(axis=axis, keepdims=True) * (after[axis] if made.shape[axis] == 1 else 1)
            return made.reshape([made.shape[d] for d in dims])
        case ("slice", (starts, limits, strides)):
            for axis, size in enumerate(before):
                if after[axis] < size:
                    read = np.zeros((*made.shape[:axis], size, *made.shape[axis + 1 :]), np.int64)
                    part = slice(starts[axis], limits[axis], strides[axis])
                    read[(*[slice(None)] * axis, part)] = made
                    made = read
            return made
        case ("pad", (low, _)):
            for axis, size in enumerate(before):
                made = _cut(made, axis, low[axis], size)
            return made
        case ("place", ((axis, offset, _),)):
            return _cut(made, axis, offset, before[axis])
        case ("patches", (axes, window, strides)):
            return _patch_counts(made, axes, window, strides, before)
        case ("shift", ((by,),)):
            whole = np.broadcast_to(made, (before[0], *made.shape[1:]))
            return np.concatenate([whole[by:], np.zeros((by, *made.shape[1:]), np.int64)])
    return None


def _cut(made: np.ndarray, axis: int, offset: int, size: int) -> np.ndarray:
    if made.shape[axis] == 1:
        return made
    return made[(*[slice(None)] * axis, slice(offset, offset + size))]


def _reshaped_counts(made: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray | None:
    """Return the counts on another shape, if they differ along axes that it keeps."""
    result = [1] * len(before)
    for axis, size in enumerate(made.shape):
        if size == 1:
            continue
        leading, inner = prod(after[:axis]), prod(after[axis + 1 :])
        same = [
            i for i, other in enumerate(before)
            if other == size and prod(before[:i]) == leading and prod(before[i + 1 :]) == inner
        ]  # fmt: skip
        if not same:
            return _reshaped_first(made, before, after)
        result[same[0]] = size
    return made.reshape(result)


def _reshaped_first(made: np.ndarray, before: tuple[int, ...], after: tuple[int, ...]) -> np.ndarray | None:
    """Return the counts on another shape, if they differ along the first axis alone."""
    if made.shape != (after[0], *[1] * (len(after) - 1)) or not before:
        return None
    inner, mine = prod(after[1:]), prod(before[1:])
    if inner % mine == 0:
        return np.repeat(made.ravel(), inner // mine).reshape(-1, *[1] * (len(before) - 1))
    if mine % inner:
        return None
    blocks = made.reshape(-1, mine // inner)
    if np.any(blocks != blocks[:, :1]):
        return None
    return blocks[:, 0].reshape(-1, *[1] * (len(before) - 1))


def _counts_by_index(path: Sequence[Step], shape: tuple[int, ...]) -> np.ndarray:
    """Return the counts by sending each entry's number along the path."""
    numbers = np.arange(1, prod(shape) + 1, dtype=np.int64).reshape(shape)
    for kind, lists in path:
        numbers = _spread_numbers(numbers, kind, lists)
    found = np.bincount(numbers.ravel(), minlength=prod(shape) + 1)[1:]
    return found.reshape(shape)


def _spread_numbers(value: np.ndarray, kind: str, numbers: tuple[tuple[int, ...], ...]) -> np.ndarray:
    match kind, numbers:
        case "reshape", (shape,):
            return value.reshape(shape)
        case "transpose", (permutation,):
            return value.transpose(permutation)
        case "broadcast", (shape, dims):
            expanded = [1] * len(shape)
            for dim, size in zip(dims, value.shape, strict=True):
                expanded[dim] = size
            return np.broadcast_to(value.reshape(expanded), shape)
        case "slice", (starts, limits, strides):
            return value[tuple(map(slice, starts, limits, strides))]
        case "pad", (low, high):
            return np.pad(value, list(zip(low, high, strict=True)))
        case "place", ((axis, offset, size),):
            return np.pad(value, list(zip(*_margins(value.shape, axis, offset, size), strict=True)))
        case "patches", (axes, window, strides):
            found = np.lib.stride_tricks.sliding_window_view(value, window, axis=axes)
            steps = dict(zip(axes, strides, strict=True))
            found = found[tuple(slice(None, None, steps.get(axis, 1)) for axis in range(value.ndim))]
            last = range(value.ndim, found.ndim)
            return np.moveaxis(found, tuple(last), tuple(_behind(axes) + i for i in range(len(last))))
        case "shift", ((by,),):
            return np.pad(value[:-by], [(by, 0), *[(0, 0)] * (value.ndim - 1)])
    raise ValueError(f"unknown view step '{kind}'")


def owns_all(path: Sequence[Step]) -> bool:
    """Whether every copy at the end of the path belongs to the value at its start."""
    return all(kind not in ("place", "shift") for kind, _ in path)


def _padded(value: Any, low: Sequence[int], high: Sequence[int], fill: int) -> Array:
    config = [(a, b, 0) for a, b in zip(low, high, strict=True)]
    return lax.pad(value, jnp.asarray(fill, value.dtype), config)


def _margins(shape: tuple[int, ...], axis: int, offset: int, size: int) -> tuple[list[int], list[int]]:
    low, high = [0] * len(shape), [0] * len(shape)
    low[axis], high[axis] = offset, size - offset - shape[axis]
    return low, high


def _shape_after(step: Step, shape: tuple[int, ...]) -> tuple[int, ...]:
    match step:
        case ("reshape", (target,)):
            return tuple(target)
        case ("transpose", (permutation,)):
            return tuple(shape[axis] for axis in permutation)
        case ("broadcast", (target, _)):
            return tuple(target)
        case ("slice", (starts, limits, strides)):
            return tuple(
                -(-(limit - start) // stride)
                for start, limit, stride in zip(starts, limits, strides, strict=True)
            )
        case ("pad", (low, high)):
            return tuple(a + n + b for a, n, b in zip(low, shape, high, strict=True))
        case ("place", ((axis, _, size),)):
            return (*shape[:axis], size, *shape[axis + 1 :])
        case ("gather", (indices,)):
            return (*indices.shape, *shape[1:])
        case ("shift", _):
            return shape
        case ("patches", (axes, window, strides)):
            result = list(shape)
            for axis, size, stride in zip(axes, window, strides, strict=True):
                result[axis] = (shape[axis] - size) // stride + 1
            behind = _behind(axes)
            return (*result[:behind], *window, *result[behind:])
    raise ValueError(f"unknown view step '{step[0]}'")


def _windows(
    axes: Sequence[int], window: Sequence[int], strides: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], list[int], list[int], list[int]]]:
    """Yield each place in the window, with the starts, limits and strides of the entries that come there."""
    for place in np.ndindex(*window):
        starts, limits, steps = [0] * len(shape), list(shape), [1] * len(shape)
        for axis, offset, size, stride in zip(axes, place, window, strides, strict=True):
            count = (shape[axis] - size) // stride + 1
            starts[axis], limits[axis], steps[axis] = offset, offset + (count - 1) * stride + 1, stride
        yield place, starts, limits, steps


def _patches(value: Any, axes: Sequence[int], window: Sequence[int], strides: Sequence[int]) -> Array:
    parts = [
        lax.slice(value, starts, limits, steps)
        for _, starts, limits, steps in _windows(axes, window, strides, value.shape)
    ]
    behind, shape = _behind(axes), parts[0].shape
    return jnp.stack(parts, axis=behind).reshape(*shape[:behind], *window, *shape[behind:])


def _behind(axes: Sequence[int]) -> int:
    """Return where the window's own axes stand: behind the last axis that windows slide along."""
    return max(axes, default=-1) + 1


def _summed_patches(
    copies: Array, axes: Sequence[int], window: Sequence[int], strides: Sequence[int], before: tuple[int, ...]
) -> Array:
    """Return the sum of all copies of each entry, put back in its place."""
    total = jnp.zeros(before, copies.dtype)
    front = (slice(None),) * _behind(axes)
    for place, starts, limits, steps in _windows(axes, window, strides, before):
        index = tuple(map(slice, starts, limits, steps))
        total = total.at[index].add(copies[(*front, *place)])
    return total


def _patch_counts(
    made: np.ndarray,
    axes: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    before: tuple[int, ...],
) -> np.ndarray | None:
    """Return the counts before windows were cut, if all windows and places in them count alike."""
    rank, behind = len(before), _behind(axes)
    own = made.shape[behind : behind + len(window)]
    if own != (1,) * len(window) or any(made.shape[axis] > 1 for axis in axes):
        return None
    found = made.reshape(*made.shape[:behind], *made.shape[behind + len(window) :])
    for axis, size, stride in zip(axes, window, strides, strict=True):
        covered = np.zeros(before[axis], np.int64)
        for start in range(0, before[axis] - size + 1, stride):
            covered[start : start + size] += 1
        found = found * covered.reshape(-1, *[1] * (rank - axis - 1))
    return found
