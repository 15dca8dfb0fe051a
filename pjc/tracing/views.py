"""Views of tensors, folded: a view of a view is one, and none where the entries are where they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pjc.tracing.text import shape_text, tuple_text
from pjc.tracing.values import Shape, Tensor


def is_one(size: object) -> bool:
    return isinstance(size, int) and size == 1


def is_settled(size: object) -> bool:
    """Whether a size is a number, and not open."""
    return isinstance(size, int | np.integer)


def long_axes(shape: Shape) -> tuple[int, ...]:
    """Return the axes that are larger than 1: the others move nothing."""
    return tuple(axis for axis, size in enumerate(shape) if not is_one(size))


def _seen(value: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """Return what a value is a view of, and the order of the source's axes in it."""
    if value.source is not None and value.order is not None:
        return value.source, value.order
    return value, long_axes(value.shape)


def is_moved(value: Tensor) -> bool:
    """Whether the axes of a value stand in another order than those of what it is a view of."""
    return value.order is not None and list(value.order) != sorted(value.order)


def reshaped(value: Tensor, shape: Sequence[object]) -> Tensor:
    """Return a tensor in another shape, by row-major order."""
    shape = tuple(shape)
    if shape == value.shape:
        return value
    if [value.shape[axis] for axis in long_axes(value.shape)] == [shape[axis] for axis in long_axes(shape)]:
        if value.narrow is not None:
            return _repeated(reshaped(value.narrow, _narrowed(value, shape)), shape)
        if value.source is not None and value.order is None:
            return reshaped(value.source, shape)
        return _view(*_seen(value), shape)
    if value.source is not None and not is_moved(value):
        return reshaped(value.source, shape)
    text = f"reshape({value.text}, {shape_text(shape)})"
    return Tensor(text, shape, value.fed, value.whole, value)


def _narrowed(value: Tensor, shape: Shape) -> Shape:
    """Return the shape of what is repeated, with axes of size 1 where another shape has them."""
    assert value.narrow is not None, "something is repeated"
    sizes = iter([value.narrow.shape[axis] for axis in long_axes(value.shape)])
    return tuple(1 if is_one(size) else next(sizes) for size in shape)


def transposed(value: Tensor, permutation: Sequence[int]) -> Tensor:
    """Return a tensor with its axes in another order."""
    if list(permutation) == sorted(permutation):
        return value
    shape = tuple(value.shape[axis] for axis in permutation)
    if value.narrow is not None:
        return _repeated(transposed(value.narrow, permutation), shape)
    source, order = _seen(value)
    place = dict(zip(long_axes(value.shape), order, strict=True))
    return _view(source, tuple(place[axis] for axis in permutation if axis in place), shape)


def _view(source: Tensor, order: tuple[int, ...], shape: Shape) -> Tensor:
    """Return a view that has the axes of the source in an order, and axes of size 1 anywhere."""
    if list(order) == sorted(order):
        if shape == source.shape:
            return source
        shorter = _without_slices(source)
        if shorter is not None and shorter.shape == shape:
            return shorter
        text = f"reshape({source.text}, {shape_text(shape)})"
    else:
        inner, permutation = _permutation(source.shape, order, shape)
        text = source.text if inner == source.shape else f"reshape({source.text}, {shape_text(inner)})"
        text = f"transpose({text}, {tuple_text(permutation)})"
    return Tensor(text, shape, source.fed, source.whole, source, order)


def _permutation(held: Shape, order: Sequence[int], shape: Shape) -> tuple[Shape, list[int]]:
    """Return the shape to give a source, and the permutation that then makes the view of it."""
    slots = dict(zip(order, long_axes(shape), strict=True))
    ones = [slot for slot, size in enumerate(shape) if is_one(size)]
    places = [axis for axis, size in enumerate(held) if is_one(size)]
    if len(held) != len(shape):
        places = list(ones)
    own = iter(sorted(slots))
    inner = [
        ones[places.index(place)] if place in places else slots[next(own)] for place in range(len(shape))
    ]
    return tuple(shape[slot] for slot in inner), [inner.index(slot) for slot in range(len(shape))]


def _without_slices(value: Tensor) -> Tensor | None:
    """Return entries that were taken by slices of one, taken by numbers."""
    if value.cut is None:
        return None
    text, indices = value.cut
    kept, shape, at = [], [], 0
    for index in indices:
        start, colon, stop = index.partition(":")
        size = value.shape[at] if colon else None
        one = colon and is_one(size) and index != ":" and index.count(":") == 1
        first = start or "0"
        if one and first.isdigit() and (not stop or stop == str(int(first) + 1)):
            kept.append(first)
        else:
            kept.append(index)
            if colon:
                shape.append(size)
        at += bool(colon)
    return _cut(value, text, kept, (*shape, *value.shape[at:]))


def _cut(value: Tensor, text: str, indices: Sequence[str], shape: Sequence[object]) -> Tensor:
    found = list(indices)
    while found and found[-1] == ":":
        found.pop()
    written = f"{text}[{', '.join(found)}]" if found else text
    return Tensor(written, tuple(shape), value.fed, value.whole, cut=(text, tuple(found)))


def broadcast(value: Tensor, shape: Sequence[object], dims: Sequence[int]) -> Tensor:
    """Return a tensor with its axes at places of a larger shape, and repeated along the others."""
    held = value if value.narrow is None else value.narrow
    middle: list[object] = [1] * len(shape)
    for axis, place in enumerate(dims):
        middle[place] = held.shape[axis]
    return _repeated(reshaped(held, middle), tuple(shape))


def broadcast_to(value: Tensor, shape: Sequence[object]) -> Tensor:
    """Return a tensor repeated to a larger shape, by NumPy's rule."""
    front = len(shape) - len(value.shape)
    return broadcast(value, shape, range(front, len(shape)))


def _repeated(value: Tensor, shape: Shape) -> Tensor:
    if value.shape == shape:
        return value
    return Tensor(
        f"broadcast({flat(value)}, {shape_text(shape)})", shape, value.fed, value.whole, narrow=value
    )


def flat(value: Tensor) -> str:
    """Return the text of what is repeated, without axes of size 1 in front: broadcasting adds them."""
    held = value if value.narrow is None else value.narrow
    front = next((axis for axis, size in enumerate(held.shape) if not is_one(size)), len(held.shape))
    return reshaped(held, held.shape[front:]).text


def indexed(value: Tensor, indices: Sequence[str], shape: Sequence[object]) -> Tensor:
    """Return entries of a tensor, by one text for each axis: a slice, or a number, which takes it away."""
    if all(index == ":" for index in indices):
        return value
    if value.narrow is not None or value.source is None or value.order is None:
        return _cut(value, value.text, indices, shape)
    source, order = _seen(value)
    longs = long_axes(value.shape)
    if any(index not in (":", "0") for axis, index in enumerate(indices) if axis not in longs):
        return _cut(value, value.text, indices, shape)
    own = [":"] * len(source.shape)
    sizes: list[object] = list(source.shape)
    kept = iter(shape)
    for axis, index in enumerate(indices):
        size = next(kept) if ":" in index else None
        if axis in longs:
            place = order[longs.index(axis)]
            own[place], sizes[place] = index, size
    left = [axis for axis, index in enumerate(own) if ":" in index]
    made = _cut(source, source.text, own, [sizes[axis] for axis in left])
    moved = tuple(left.index(axis) for axis in order if axis in left and not is_one(sizes[axis]))
    return _view(made, moved, tuple(shape))


def named(value: Tensor, name: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a view with a name for what it is a view of."""
    if value.source is not None and value.order is not None:
        return _view(name(value.source), value.order, value.shape)
    return name(value)
