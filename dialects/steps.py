"""The kinds of steps: what a view does to the entries of one operand, in a class a kind.

All that compiler passes know of a kind stands on its class: the shape after the step, where the samples of a
batch are then, which iteration of a loop reads an entry, which entry goes where, and the step on tensors with
more axes. What a step does to the arrays of a run stands in ``pjc.runtime.steps``, in a class a kind too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pjc.dialects import shapes
from pjc.dialects.shapes import Shape, ShapeError

Numbers = NDArray[np.int64]
"""Which entry of an operand stands at each place: its number, from 1 on in row-major order; 0 is none."""


@dataclass(frozen=True)
class Rows:
    """Where samples are: entry ``i`` of ``axis`` belongs to sample ``(i // inner) % batch``."""

    axis: int
    inner: int = 1


@dataclass(frozen=True)
class Reads:
    """Entry ``i`` of an axis is read by the node of iteration ``iterations[i]``; -1 is none.

    ``axis`` is None where every node of the family reads every entry; or, ``by_number``, where each reads
    rows that only a batch tells.
    """

    axis: int | None
    iterations: tuple[int, ...] = ()
    by_number: bool = False

    def overlaps(self, other: Reads) -> bool:
        """Whether an entry is, or might be, read by one node in both ways."""
        if self.axis is None or other.axis != self.axis:
            return True
        return any(a == b >= 0 for a, b in zip(self.iterations, other.iterations, strict=True))


class StepError(ValueError):
    """Text that is no step; says what was found and what was expected."""


@dataclass(frozen=True)
class Step(ABC):
    """The way of one operand through one view.

    The text of a step is its kind, which is the name of its class, and then its fields as lists of integers:
    ``transpose [1, 0]``.
    """

    in_one_list: ClassVar[bool] = False
    """Whether the fields are numbers, which are written as one list."""

    owns_all: ClassVar[bool] = True
    """Whether every entry after the step, zeros too, belongs to the operand."""

    copies_once: ClassVar[bool] = True
    """Whether each entry is copied at most once."""

    in_order: ClassVar[bool] = False
    """Whether entries stay in their places where the shape stays as it is."""

    to_neighbours: ClassVar[bool] = False
    """Whether an entry of the first axis goes to other entries of it: to the next iterations of a loop."""

    @abstractmethod
    def result_shape(self, shape: Shape) -> Shape:
        """Return the shape after the step, for an operand of the given shape.

        Raises:
            ShapeError: if the operand does not fit.
        """

    @abstractmethod
    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        """Return where the samples of a tensor of the given shape are after the step.

        None if the step takes samples apart, or puts entries of several side by side.
        """

    @abstractmethod
    def read_before(
        self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape
    ) -> Reads | None:
        """Return which iterations read the entries before the step, from those that read an axis after it.

        None if the axis is mixed with others.
        """

    def numbers(self, given: Numbers) -> Numbers:
        """Return which entry stands at each place after the step, from those before it.

        Raises:
            TypeError: if that is known only when a program runs.
        """
        raise TypeError(f"what step '{self}' does is known only when the program runs")

    def lifted(self, count: int) -> Step:
        """Return the step on tensors that have one more axis, the first, of so many entries."""
        raise TypeError(f"step '{self}' cannot be lifted")

    def with_first(self, size: int) -> Step:
        """Return the step on a part of the first axis, so large that the result's has so many entries.

        For steps that leave that axis as it is, like lifted ones, or repeat the operand along it.
        """
        return self

    def on_rows(self, row: Shape) -> Step:
        """Return the step on tensors of rows of the given shape, in the place of single numbers."""
        raise TypeError(f"step '{self}' has no counterpart on rows")

    @classmethod
    def can_lift(cls) -> bool:
        """Whether steps of the kind can be lifted."""
        return cls.lifted is not Step.lifted

    @classmethod
    def can_take_rows(cls) -> bool:
        """Whether steps of the kind have a counterpart on rows."""
        return cls.on_rows is not Step.on_rows

    def repeated(self, shape: Shape) -> tuple[int, ...]:
        """Return the axes after the step along which it repeats entries of a tensor of the given shape."""
        return ()

    def neutral(self, shape: Shape) -> bool:
        """Whether the step leaves every entry of a tensor of the given shape in its place."""
        return self.in_order and self.result_shape(shape) == shape

    def merged(self, first: Step) -> Step | None:
        """Return the one step that does what ``first`` and then this one do, if there is one."""
        return None

    def datum(self) -> str | None:
        """Return the label of the datum that says which entries are read, if one does."""
        return None

    @classmethod
    def kind(cls) -> str:
        """Return the name of the kind."""
        return cls.__name__.lower()

    @classmethod
    def number_names(cls) -> list[str]:
        """Return the names of the fields that hold integers."""
        return [each.name for each in fields(cls) if each.name != "label"]

    @classmethod
    def fewest_numbers(cls) -> int:
        """Return how many fields that hold integers have no default, which is an empty list."""
        return sum(each.default is MISSING for each in fields(cls) if each.name != "label")

    def lists(self) -> tuple[Shape, ...]:
        """Return the integers as they are written: fields at the end are left out that have their default."""
        numbers = tuple(getattr(self, name) for name in self.number_names())
        if self.in_one_list:
            return (numbers,)
        most = len(numbers)
        while most > self.fewest_numbers() and not numbers[most - 1]:
            most -= 1
        return numbers[:most]

    def __str__(self) -> str:
        label = self.datum()
        words = [self.kind()] if label is None else [self.kind(), f'"{label}"']
        return " ".join([*words, *map(shapes.show, self.lists())])

    def unfit(self, shape: Shape) -> ShapeError:
        """Return the error for a tensor that the step does not fit."""
        return ShapeError(f"step '{self}' does not fit a tensor of shape {shapes.show(shape)}")


@dataclass(frozen=True)
class Reshape(Step):
    """``reshape [shape]``: the same entries in row-major order; a size of -1 is filled in."""

    in_order = True

    shape: Shape

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.reshape(shape, self.shape)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        """Return the axis in which a sample's entries, all that follow it in memory, end up."""
        following, after = rows.inner * prod(shape[rows.axis + 1 :]), self.result_shape(shape)
        for axis in range(len(after)):
            inner = prod(after[axis + 1 :])
            if following % inner == 0 and (inner * after[axis]) % (following * batch) == 0:
                return Rows(axis, following // inner)
        return None

    def read_before(
        self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape
    ) -> Reads | None:
        """Return the axis of the shape before that starts where the axis after it starts."""
        leading, inner = prod(after[:axis]), prod(after[axis + 1 :])
        for axis in range(len(before)):
            mine = prod(before[axis + 1 :])
            repeats, rest = divmod(before[axis], len(iterations))
            if inner == mine and not rest and prod(before[:axis]) * repeats == leading:
                return Reads(axis, iterations * repeats)
            if prod(before[:axis]) != leading or before[axis] == 1 < len(iterations):
                continue
            if inner % mine == 0:
                ratio = inner // mine
                return Reads(axis, tuple(t for t in iterations for _ in range(ratio)))
            groups = [iterations[i :: mine // inner] for i in range(mine // inner)]
            if mine % inner == 0 and all(group == groups[0] for group in groups):
                return Reads(axis, groups[0])
        return None

    def numbers(self, given: Numbers) -> Numbers:
        return given.reshape(self.shape)

    def lifted(self, count: int) -> Reshape:
        return Reshape((count, *self.shape))

    def with_first(self, size: int) -> Reshape:
        return Reshape((size, *self.shape[1:]))

    def on_rows(self, row: Shape) -> Reshape:
        return Reshape((*self.shape, *row))

    def merged(self, first: Step) -> Reshape | None:
        return self if isinstance(first, Reshape) else None


@dataclass(frozen=True)
class Transpose(Step):
    """``transpose [permutation]``: result axis ``i`` is operand axis ``permutation[i]``."""

    permutation: Shape

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.transpose(shape, self.permutation)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows:
        return replace(rows, axis=self.permutation.index(rows.axis))

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        return Reads(self.permutation[axis], iterations)

    def numbers(self, given: Numbers) -> Numbers:
        return given.transpose(self.permutation)

    def lifted(self, count: int) -> Transpose:
        return Transpose((0, *(axis + 1 for axis in self.permutation)))

    def on_rows(self, row: Shape) -> Transpose:
        rank = len(self.permutation)
        return Transpose((*self.permutation, *range(rank, rank + len(row))))

    def neutral(self, shape: Shape) -> bool:
        return list(self.permutation) == sorted(self.permutation)

    def merged(self, first: Step) -> Transpose | None:
        if not isinstance(first, Transpose):
            return None
        return Transpose(tuple(first.permutation[axis] for axis in self.permutation))


@dataclass(frozen=True)
class Broadcast(Step):
    """``broadcast [shape] [dims]``: operand axis ``i`` becomes result axis ``dims[i]``, repeated."""

    copies_once = False
    in_order = True

    shape: Shape
    dims: Shape

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.broadcast(shape, self.shape, self.dims)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows:
        return replace(rows, axis=self.dims[rows.axis])

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        if axis in self.dims and before[self.dims.index(axis)] == after[axis]:
            return Reads(self.dims.index(axis), iterations)
        return Reads(None)

    def numbers(self, given: Numbers) -> Numbers:
        expanded = [1] * len(self.shape)
        for dim, size in zip(self.dims, given.shape, strict=True):
            expanded[dim] = size
        return np.broadcast_to(given.reshape(expanded), self.shape)

    def lifted(self, count: int) -> Broadcast:
        return Broadcast((count, *self.shape), (0, *(axis + 1 for axis in self.dims)))

    def with_first(self, size: int) -> Broadcast:
        return replace(self, shape=(size, *self.shape[1:]))

    def on_rows(self, row: Shape) -> Broadcast:
        rank = len(self.shape)
        return Broadcast((*self.shape, *row), (*self.dims, *range(rank, rank + len(row))))

    def repeated(self, shape: Shape) -> tuple[int, ...]:
        added = [axis for axis in range(len(self.shape)) if axis not in self.dims]
        stretched = [d for d, size in zip(self.dims, shape, strict=True) if size < self.shape[d]]
        return (*added, *stretched)

    def merged(self, first: Step) -> Broadcast | None:
        if not isinstance(first, Broadcast):
            return None
        return Broadcast(self.shape, tuple(self.dims[axis] for axis in first.dims))


@dataclass(frozen=True)
class Slice(Step):
    """``slice [starts] [limits] [strides]``: a strided range of each axis."""

    in_order = True

    starts: Shape
    limits: Shape
    strides: Shape

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.slice_(shape, self.starts, self.limits, self.strides)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        axis, block = rows.axis, rows.inner * batch
        whole = self.starts[axis] % block == 0 == self.limits[axis] % block and self.strides[axis] == 1
        return rows if whole else None

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        found = [-1] * before[axis]
        for index, iteration in enumerate(iterations):
            found[self.starts[axis] + index * self.strides[axis]] = iteration
        return Reads(axis, tuple(found))

    def numbers(self, given: Numbers) -> Numbers:
        return given[tuple(map(slice, self.starts, self.limits, self.strides))]

    def lifted(self, count: int) -> Slice:
        return Slice((0, *self.starts), (count, *self.limits), (1, *self.strides))

    def with_first(self, size: int) -> Slice:
        return replace(self, limits=(size, *self.limits[1:]))

    def on_rows(self, row: Shape) -> Slice:
        none, ones = (0,) * len(row), (1,) * len(row)
        return Slice((*self.starts, *none), (*self.limits, *row), (*self.strides, *ones))

    def merged(self, first: Step) -> Slice | None:
        if not isinstance(first, Slice):
            return None
        starts, limits, strides = [], [], []
        for first_start, first_stride, start, limit, stride in zip(
            first.starts, first.strides, self.starts, self.limits, self.strides, strict=True
        ):
            count = -(-(limit - start) // stride)
            starts.append(first_start + start * first_stride)
            strides.append(first_stride * stride)
            limits.append(starts[-1] + (count - 1) * strides[-1] + 1)
        return Slice(tuple(starts), tuple(limits), tuple(strides))


@dataclass(frozen=True)
class Pad(Step):
    """``pad [low] [high]``: with zeros around, which belong to the operand."""

    in_order = True

    low: Shape
    high: Shape

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.pad(shape, self.low, self.high)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        block = rows.inner * batch
        return rows if self.low[rows.axis] % block == 0 == self.high[rows.axis] % block else None

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        return Reads(axis, iterations[self.low[axis] :][: before[axis]])

    def numbers(self, given: Numbers) -> Numbers:
        found = np.zeros(self.result_shape(given.shape), given.dtype)
        found[tuple(slice(low, low + size) for low, size in zip(self.low, given.shape, strict=True))] = given
        return found

    def lifted(self, count: int) -> Pad:
        return Pad((0, *self.low), (0, *self.high))

    def merged(self, first: Step) -> Pad | None:
        if not isinstance(first, Pad):
            return None
        low, high = zip(first.low, self.low, strict=True), zip(first.high, self.high, strict=True)
        return Pad(tuple(map(sum, low)), tuple(map(sum, high)))


@dataclass(frozen=True)
class Place(Step):
    """``place [axis, offset, size]``: a range of a longer axis; other operands fill the rest."""

    in_one_list = True
    owns_all = False
    in_order = True

    axis: int
    offset: int
    size: int

    def result_shape(self, shape: Shape) -> Shape:
        if not 0 <= self.axis < len(shape) or not 0 <= self.offset <= self.size - shape[self.axis]:
            raise self.unfit(shape)
        return (*shape[: self.axis], self.size, *shape[self.axis + 1 :])

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        block = rows.inner * batch
        return rows if self.axis != rows.axis or self.offset % block == 0 == self.size % block else None

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        return Reads(axis, iterations[self.offset :][: before[axis]] if self.axis == axis else iterations)

    def numbers(self, given: Numbers) -> Numbers:
        return self.as_pad(given.shape).numbers(given)

    def lifted(self, count: int) -> Place:
        return replace(self, axis=self.axis + 1)

    def on_rows(self, row: Shape) -> Place:
        return self

    def as_pad(self, shape: Shape) -> Pad:
        """Return the pad that puts the entries of a tensor of the given shape into the same places."""
        low, high = [0] * len(shape), [0] * len(shape)
        low[self.axis], high[self.axis] = self.offset, self.size - self.offset - shape[self.axis]
        return Pad(tuple(low), tuple(high))


@dataclass(frozen=True)
class Gather(Step):
    """``gather "tokens" [shape]``: rows by number; the numbers, of that shape, are a datum."""

    copies_once = False

    shape: Shape
    label: str

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.gather(shape, self.shape)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        return None

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        if axis < len(self.shape):
            return Reads(None, by_number=True)
        return Reads(axis - len(self.shape) + 1, iterations)

    def datum(self) -> str:
        return self.label


@dataclass(frozen=True)
class Patches(Step):
    """``patches [axes] [window] [strides] [dilation]``: windows that slide along axes.

    The axes count positions then, and the window's own axes follow the last of them. How far apart a window's
    entries are is left out where all of them lie side by side.
    """

    copies_once = False
    in_order = True

    axes: Shape
    window: Shape
    strides: Shape
    dilation: Shape = ()

    def __post_init__(self) -> None:
        if set(self.dilation) == {1} and len(self.dilation) == len(self.axes):
            object.__setattr__(self, "dilation", ())

    @property
    def apart(self) -> Shape:
        """How far apart a window's entries are, along each axis."""
        return self.dilation or (1,) * len(self.axes)

    @property
    def reach(self) -> Shape:
        """How many entries a window covers, along each axis."""
        return tuple(map(shapes.covered, self.window, self.apart))

    @property
    def behind(self) -> int:
        """Where the window's own axes begin: behind the last axis that windows slide along."""
        return max(self.axes, default=-1) + 1

    def result_shape(self, shape: Shape) -> Shape:
        return shapes.patches(shape, self.axes, self.window, self.strides, self.apart)

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        if rows.axis in self.axes:
            return None
        return replace(rows, axis=rows.axis + len(self.window)) if rows.axis >= self.behind else rows

    def read_before(
        self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape
    ) -> Reads | None:
        return Reads(axis, iterations) if all(axis < each for each in self.axes) else None

    def numbers(self, given: Numbers) -> Numbers:
        found = np.lib.stride_tricks.sliding_window_view(given, self.reach, axis=self.axes)
        along = dict(zip(self.axes, self.strides, strict=True))
        each = [along.get(axis, 1) for axis in range(given.ndim)]
        found = found[tuple(slice(None, None, by) for by in (*each, *self.apart))]
        last = range(given.ndim, found.ndim)
        return np.moveaxis(found, tuple(last), tuple(self.behind + i for i in range(len(last))))

    def lifted(self, count: int) -> Patches:
        return replace(self, axes=tuple(axis + 1 for axis in self.axes))

    def on_rows(self, row: Shape) -> Patches:
        return self


@dataclass(frozen=True)
class Shift(Step):
    """``shift [by]``: entry ``i`` of the first axis goes to ``i + by``; other operands fill the rest."""

    in_one_list = True
    owns_all = False
    to_neighbours = True

    by: int

    def result_shape(self, shape: Shape) -> Shape:
        if not shape or not 0 < self.by < shape[0]:
            raise self.unfit(shape)
        return shape

    def rows_after(self, rows: Rows, shape: Shape, batch: int) -> Rows | None:
        return rows if rows.axis or self.by % (rows.inner * batch) == 0 else None

    def read_before(self, axis: int, iterations: tuple[int, ...], before: Shape, after: Shape) -> Reads:
        return Reads(axis, (*iterations[self.by :], *[-1] * self.by) if axis == 0 else iterations)

    def numbers(self, given: Numbers) -> Numbers:
        return np.pad(given[: -self.by], [(self.by, 0), *[(0, 0)] * (given.ndim - 1)])


KINDS: dict[str, type[Step]] = {each.kind(): each for each in Step.__subclasses__()}
"""The kinds of steps by name."""


def step_of(kind: str, lists: Sequence[Sequence[int]], label: str | None = None) -> Step:
    """Return a step from the parts of its text.

    Raises:
        StepError: if there is no such kind, or it takes other parts.
    """
    if kind not in KINDS:
        raise StepError(f"unknown step '{kind}'; known are {', '.join(KINDS)}")
    found = KINDS[kind]
    names, labelled = found.number_names(), len(found.number_names()) < len(fields(found))
    fewest, most = (1, 1) if found.in_one_list else (found.fewest_numbers(), len(names))
    if not fewest <= len(lists) <= most:
        expected = str(most) if fewest == most else f"{fewest} to {most}"
        raise StepError(f"step '{kind}' takes {expected} lists, found {len(lists)}")
    if bool(label) != labelled:
        raise StepError("a step names the datum of its indices if, and only if, it is a gather")
    if found.in_one_list and len(lists[0]) != len(names):
        raise StepError(f"step '{kind}' takes the list [{', '.join(names)}], found {shapes.show(lists[0])}")
    numbers = lists[0] if found.in_one_list else map(tuple, lists)
    return found(*numbers, *([label] if labelled else []))


def shapes_along(steps: Iterable[Step], shape: Shape) -> list[Shape]:
    """Return the shapes on a path of steps: before it, and after each step."""
    found = [shape]
    for step in steps:
        found.append(step.result_shape(found[-1]))
    return found


def shape_after(steps: Iterable[Step], shape: Shape) -> Shape:
    """Return the shape at the end of a path of steps."""
    return shapes_along(steps, shape)[-1]


def numbers_along(steps: Iterable[Step], shape: Shape) -> Numbers:
    """Return which entry of an operand of a shape stands at each place at the end of a path of steps.

    Raises:
        TypeError: if a step goes by the numbers of a batch.
    """
    found: Numbers = np.arange(1, prod(shape) + 1, dtype=np.int64).reshape(shape)
    for step in steps:
        found = step.numbers(found)
    return found
