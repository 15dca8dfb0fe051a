"""What each kind of step does to arrays: a class a kind, found by the step's class.

The names of the classes say what has become of the array. The numbers by which a gather takes rows may be
traced: what depends on them is known only when the program runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from pjc.dialects.shapes import Shape, covered
from pjc.dialects.steps import (
    Broadcast,
    Gather,
    Pad,
    Patches,
    Place,
    Reshape,
    Shift,
    Slice,
    Step,
    Transpose,
)
from pjc.runtime.mesh import in_range, shifted, shifted_back, stages

S = TypeVar("S", bound=Step)


class Before(NamedTuple):
    """The path up to a step: the shape there, whether all of it is the value's, and what writes it."""

    shape: Shape
    owned: bool
    over: Callable[[Array], Array]
    """Returns copies with the value's own written over them; those alone, where all are the value's."""


class View(ABC, Generic[S]):
    """One step, on arrays."""

    OF: ClassVar[dict[type[Step], type[View[Any]]]] = {}
    """The class for each kind of step."""

    def __init_subclass__(cls, of: type[Step]) -> None:
        View.OF[of] = cls

    def __init__(self, step: S, data: Mapping[str, Array]) -> None:
        """``data`` are tensors by label, for steps that go by the numbers in one."""
        self.step = step

    @abstractmethod
    def spread(self, value: Any, fill: int) -> Any:
        """Return the entries after the step; those of other owners are zero, and pads hold ``fill``."""

    @abstractmethod
    def collect(self, copies: Array, before: Shape) -> Array:
        """Return the sum of the copies of each entry, for operands of a shape: the adjoint of spread."""

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray | None:
        """Return how often entries are copied by the step and those behind it, which copy ``made`` times.

        Counts have size 1 along axes that do not matter. None where axes mix that differ in them.
        """
        return None

    def write(self, copies: Array, before: Before) -> Array | None:
        """Return the copies with the value's own written over them; None if there is no short way."""
        return None

    def joined(self, inputs: Sequence[Array]) -> Array:
        """Return what a view of several operands makes, of which the last takes this step."""
        raise TypeError(f"step '{self.step}' is that of a single operand")


def bound(steps: Sequence[Step], data: Mapping[str, Array] | None = None) -> list[View[Any]]:
    """Return the steps of a path as the runtime takes them.

    Args:
        steps: the steps, in order.
        data: tensors by label; those that the steps name, if any.

    Raises:
        ValueError: if a kind of step is not known.
    """
    for step in steps:
        if type(step) not in View.OF:
            known = ", ".join(each.kind() for each in View.OF)
            raise ValueError(f"unknown view step '{step.kind()}'; known are {known}")
    return [View.OF[type(step)](step, data or {}) for step in steps]


class Reshaped(View[Reshape], of=Reshape):
    def spread(self, value: Any, fill: int) -> Any:
        return jnp.reshape(value, self.step.shape)

    def collect(self, copies: Array, before: Shape) -> Array:
        return jnp.reshape(copies, before)

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray | None:
        """Return the counts on another shape, if they differ along axes that it keeps, or the first alone."""
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
                return _along_the_first(made, before, after)
            result[same[0]] = size
        return made.reshape(result)

    def write(self, copies: Array, before: Before) -> Array:
        return before.over(copies.reshape(before.shape)).reshape(copies.shape)


def _along_the_first(made: np.ndarray, before: Shape, after: Shape) -> np.ndarray | None:
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


class Transposed(View[Transpose], of=Transpose):
    @property
    def back(self) -> list[int]:
        """The permutation that undoes the step."""
        return [int(axis) for axis in np.argsort(self.step.permutation)]

    def spread(self, value: Any, fill: int) -> Any:
        return jnp.transpose(value, self.step.permutation)

    def collect(self, copies: Array, before: Shape) -> Array:
        return jnp.transpose(copies, self.back)

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        return made.transpose(self.back)

    def write(self, copies: Array, before: Before) -> Array:
        return jnp.transpose(before.over(jnp.transpose(copies, self.back)), self.step.permutation)


class Repeated(View[Broadcast], of=Broadcast):
    def spread(self, value: Any, fill: int) -> Any:
        return lax.broadcast_in_dim(value, self.step.shape, self.step.dims)

    def collect(self, copies: Array, before: Shape) -> Array:
        return jnp.reshape(jnp.sum(copies, axis=self.step.repeated(before)), before)

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        for axis in self.step.repeated(before):
            made = made.sum(axis=axis, keepdims=True) * (after[axis] if made.shape[axis] == 1 else 1)
        return made.reshape([made.shape[d] for d in self.step.dims])


class Sliced(View[Slice], of=Slice):
    def spread(self, value: Any, fill: int) -> Any:
        return lax.slice(value, self.step.starts, self.step.limits, self.step.strides)

    def collect(self, copies: Array, before: Shape) -> Array:
        config = [
            (start, size - start - (count - 1) * stride - 1, stride - 1)
            for start, stride, size, count in zip(
                self.step.starts, self.step.strides, before, copies.shape, strict=True
            )
        ]
        return lax.pad(copies, jnp.zeros((), copies.dtype), config)

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        for axis, part in enumerate(self._parts()):
            if after[axis] < before[axis]:
                read = np.zeros((*made.shape[:axis], before[axis], *made.shape[axis + 1 :]), np.int64)
                read[(*[slice(None)] * axis, part)] = made
                made = read
        return made

    def _parts(self) -> tuple[slice, ...]:
        return tuple(map(slice, self.step.starts, self.step.limits, self.step.strides))


class Padded(View[Pad], of=Pad):
    def spread(self, value: Any, fill: int) -> Any:
        config = [(a, b, 0) for a, b in zip(self.step.low, self.step.high, strict=True)]
        return lax.pad(value, jnp.asarray(fill, value.dtype), config)

    def collect(self, copies: Array, before: Shape) -> Array:
        low = self.step.low
        return lax.slice(copies, low, [a + size for a, size in zip(low, before, strict=True)])

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        parts = [
            slice(a, a + size) if own > 1 else slice(None)
            for own, a, size in zip(made.shape, self.step.low, before, strict=True)
        ]
        return made[tuple(parts)]


class Placed(View[Place], of=Place):
    def spread(self, value: Any, fill: int) -> Any:
        return self._padded(value.shape).spread(value, 0)

    def collect(self, copies: Array, before: Shape) -> Array:
        return self._own(copies, before)

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        return self._padded(before).counts(made, before, after)

    def write(self, copies: Array, before: Before) -> Array:
        axis, start = self.step.axis, self.step.offset
        if axis == 0 and stages() > 1 and before.owned:
            mine = in_range(copies, start, start + before.shape[0])
            return jnp.where(mine, self.spread(before.over(copies), 0), copies)
        new = before.over(self._own(copies, before.shape))
        return lax.dynamic_update_slice_in_dim(copies, new, start, axis)

    def joined(self, inputs: Sequence[Array]) -> Array:
        return jnp.concatenate(inputs, axis=self.step.axis)

    def _padded(self, before: Shape) -> Padded:
        return Padded(self.step.as_pad(before), {})

    def _own(self, copies: Array, before: Shape) -> Array:
        axis, start = self.step.axis, self.step.offset
        return lax.slice_in_dim(copies, start, start + before[axis], axis=axis)


class Gathered(View[Gather], of=Gather):
    def __init__(self, step: Gather, data: Mapping[str, Array]) -> None:
        super().__init__(step, data)
        self.indices = data[step.label]

    def spread(self, value: Any, fill: int) -> Any:
        return jnp.take(value, self.indices, axis=0)  # a number out of range gives NaN

    def collect(self, copies: Array, before: Shape) -> Array:
        return jnp.zeros(before, copies.dtype).at[self.indices].add(copies)


FEW = 25
"""So many places in a window are taken one by one. Of more, in a loop for each axis: XLA compiles it once."""


class Windowed(View[Patches], of=Patches):
    def spread(self, value: Any, fill: int) -> Any:
        if prod(self.step.window) > FEW:
            return self._spread(value)
        parts = [
            lax.slice(value, starts, limits, steps) for _, starts, limits, steps in self._windows(value.shape)
        ]
        behind, shape = self.step.behind, parts[0].shape
        stacked = jnp.stack(parts, axis=behind)
        return stacked.reshape(*shape[:behind], *self.step.window, *shape[behind:])

    def collect(self, copies: Array, before: Shape) -> Array:
        if prod(self.step.window) > FEW:
            return self._collected(copies, before)
        total = jnp.zeros(before, copies.dtype)
        front = (slice(None),) * self.step.behind
        for place, starts, limits, steps in self._windows(before):
            index = tuple(map(slice, starts, limits, steps))
            total = total.at[index].add(copies[(*front, *place)])
        return total

    def _each(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield each axis of a window: its number, along which it slides, its length, stride and dilation."""
        numbers = (self.step.axes, self.step.window, self.step.strides, self.step.apart)
        yield from zip(range(len(self.step.axes)), *numbers, strict=True)

    def _spread(self, value: Array) -> Array:
        """Return the windows, cut along one axis after another."""
        for number, axis, size, stride, apart in self._each():
            value = _cut(value, axis, self.step.behind + number, size, stride, apart)
        return value

    def _collected(self, copies: Array, before: Shape) -> Array:
        """Return the sums of copies, along one axis after another."""
        for number, axis, _, stride, apart in reversed(list(self._each())):
            copies = _overlaid(copies, axis, self.step.behind + number, before[axis], stride, apart)
        return copies

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray | None:
        """Return the counts before windows were cut, if all windows and places in them count alike."""
        rank, behind, window = len(before), self.step.behind, self.step.window
        own = made.shape[behind : behind + len(window)]
        if own != (1,) * len(window) or any(made.shape[axis] > 1 for axis in self.step.axes):
            return None
        found = made.reshape(*made.shape[:behind], *made.shape[behind + len(window) :])
        for number, axis, _, stride, apart in self._each():
            reach, times = self.step.reach[number], np.zeros(before[axis], np.int64)
            for start in range(0, before[axis] - reach + 1, stride):
                times[start : start + reach : apart] += 1
            found = found * times.reshape(-1, *[1] * (rank - axis - 1))
        return found

    def _windows(self, shape: Shape) -> Iterator[tuple[tuple[int, ...], list[int], list[int], list[int]]]:
        """Yield each place in the window, with starts, limits and strides of the entries that come there."""
        for place in product(*map(range, self.step.window)):
            starts, limits, steps = [0] * len(shape), list(shape), [1] * len(shape)
            for number, axis, _, stride, apart in self._each():
                count = (shape[axis] - self.step.reach[number]) // stride + 1
                offset = place[number] * apart
                starts[axis], limits[axis], steps[axis] = offset, offset + (count - 1) * stride + 1, stride
            yield place, starts, limits, steps


def _cut(value: Array, axis: int, behind: int, size: int, stride: int, apart: int) -> Array:
    """Return windows along an axis, which then counts them; what is in one counts an axis ``behind``."""
    positions = (value.shape[axis] - covered(size, apart)) // stride + 1
    span = (positions - 1) * stride + 1
    shape = [*value.shape]
    shape[axis] = positions
    shape.insert(behind, size)

    def place(at: Array, found: Array) -> Array:
        part = lax.dynamic_slice_in_dim(value, at * apart, span, axis)
        part = lax.slice_in_dim(part, 0, span, stride, axis)
        return jnp.asarray(lax.dynamic_update_index_in_dim(found, part, at, behind))

    return jnp.asarray(lax.fori_loop(0, size, place, jnp.zeros(shape, value.dtype)))


def _overlaid(copies: Array, axis: int, behind: int, length: int, stride: int, apart: int) -> Array:
    """Return, for an axis of a length, the sum of what windows along it hold of each entry."""
    span, size = (copies.shape[axis] - 1) * stride + 1, copies.shape[behind]
    shape = [*copies.shape[:behind], *copies.shape[behind + 1 :]]
    shape[axis] = length
    config = [(0, 0, stride - 1 if each == axis else 0) for each in range(len(shape))]

    def add(at: Array, total: Array) -> Array:
        part = lax.dynamic_index_in_dim(copies, at, behind, keepdims=False)
        part = lax.pad(part, jnp.zeros((), part.dtype), config)
        own = lax.dynamic_slice_in_dim(total, at * apart, span, axis)
        return jnp.asarray(lax.dynamic_update_slice_in_dim(total, own + part, at * apart, axis))

    return jnp.asarray(lax.fori_loop(0, size, add, jnp.zeros(shape, copies.dtype)))


class Shifted(View[Shift], of=Shift):
    def spread(self, value: Any, fill: int) -> Any:
        return shifted(value, self.step.by)

    def collect(self, copies: Array, before: Shape) -> Array:
        return jnp.asarray(shifted_back(copies, self.step.by))

    def counts(self, made: np.ndarray, before: Shape, after: Shape) -> np.ndarray:
        by = self.step.by
        whole = np.broadcast_to(made, (before[0], *made.shape[1:]))
        return np.concatenate([whole[by:], np.zeros((by, *made.shape[1:]), np.int64)])

    def write(self, copies: Array, before: Before) -> Array | None:
        by = self.step.by
        if not before.owned:
            return None
        if stages() > 1:
            mine = in_range(copies, by, copies.shape[0])
            return jnp.where(mine, shifted(before.over(copies), by), copies)
        return lax.dynamic_update_slice_in_dim(copies, before.over(copies)[:-by], by, 0)

    def joined(self, inputs: Sequence[Array]) -> Array:
        first, rest = inputs
        by = self.step.by
        if stages() > 1:
            return jnp.where(in_range(rest, 0, by), first, shifted(rest, by))
        return jnp.concatenate([first, rest[:-by]])
