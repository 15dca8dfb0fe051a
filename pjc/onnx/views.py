"""Operators that move entries and compute nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pjc.dialects import shapes
from pjc.frontends.reserved import tuple_text
from pjc.onnx.constants import uniform
from pjc.onnx.graph import FIX, Graph, Node, Unsupported, Value, handles
from pjc.onnx.sizes import is_multiple

MAX_SIZE = 2**31 - 1
"""Where exporters write that a slice has no end."""
MAX_PIECES = 256
"""The most slices that one node may become."""


@handles("Reshape")
def reshape(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    wanted = graph.integers(node.input(1), "shape")
    copies = not node.get("allowzero", 0)
    if copies and any(size == 0 and axis >= x.rank for axis, size in enumerate(wanted)):
        raise Unsupported(f"its shape {wanted} copies a size that its input of rank {x.rank} does not have")
    shape = [x.shape[axis] if size == 0 and copies else size for axis, size in enumerate(wanted)]
    if shape.count(-1) > 1 or min(shape, default=0) < -1:
        raise Unsupported(f"its shape is {wanted}")
    if -1 in shape:
        rest = prod(size for size in shape if size != -1)
        if rest == 0 or prod(x.shape) % rest:
            raise Unsupported(f"{list(x.shape)} cannot take the shape {wanted}")
        shape[shape.index(-1)] = prod(x.shape) // rest
    _check_samples(graph, x, shape)
    return graph.reshaped(x, shape)


def _check_samples(graph: Graph, x: Value, shape: Sequence[int]) -> None:
    """Raise Unsupported where the samples of a batch that is only assumed to be open would change places.

    In front they stay in front: the model's own number for them stands among the sizes else. Elsewhere as
    many entries stay before their axis. So one sample lies behind the other along it, also where it is a
    multiple of the batch.
    """
    was, now = _axis_of_samples(graph, x.shape), _axis_of_samples(graph, shape)
    if was is not None and (now is None or (was == 0 < now) or prod(x.shape[:was]) != prod(shape[:now])):
        raise Unsupported("it puts the samples of a batch into another axis")


def _axis_of_samples(graph: Graph, shape: Sequence[int]) -> int | None:
    """Return the axis along which the samples of an assumed batch lie."""
    if not graph.assumed or graph.batch is None:
        return None
    return next((axis for axis, size in enumerate(shape) if is_multiple(size, graph.batch)), None)


@handles("Flatten")
def flatten(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    axis = node.get("axis", 1)
    at = axis + x.rank if axis < 0 else axis
    shape = prod(x.shape[:at]), prod(x.shape[at:])
    _check_samples(graph, x, shape)
    return graph.reshaped(x, shape)


@handles("Squeeze")
def squeeze(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    axes = graph.integers(node.input(1), "list of axes") if node.input(1) else None
    if axes is None and graph.assumed == 1:
        graph.require_one_sample("takes away the axis of", *x.shape)
    gone = {i for i, n in enumerate(x.shape) if n == 1} if axes is None else {a % x.rank for a in axes}
    if any(x.shape[axis] != 1 for axis in gone):
        raise Unsupported(f"it takes away axes {sorted(gone)} of {list(x.shape)}")
    return graph.reshaped(x, [size for axis, size in enumerate(x.shape) if axis not in gone])


@handles("Unsqueeze")
def unsqueeze(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    axes = graph.integers(node.input(1), "list of axes")
    rank = x.rank + len(axes)
    new = {axis % rank for axis in axes}
    sizes = iter(x.shape)
    return graph.reshaped(x, [1 if axis in new else next(sizes) for axis in range(rank)])


@handles("Transpose")
def transpose(graph: Graph, node: Node) -> Value:
    x = graph.tensor(node.input(0))
    permutation = node.get("perm") or list(range(x.rank))[::-1]
    shape = tuple(x.shape[axis] for axis in permutation)
    # The expression stays as it is: its axes have other places in the model now.
    held = x.order or tuple(range(x.rank))
    order = tuple(permutation.index(axis) for axis in held)
    moved = Value(x.text, shape, None if order == tuple(range(x.rank)) else order, x.integer)
    if x.order is not None and moved.order is None:
        return moved
    plain = graph.in_order(moved, None)
    return moved if plain is moved else graph.bind(plain.text, shape)


@handles("Expand")
def expand(graph: Graph, node: Node) -> Value:
    x = graph.plain(node.input(0))
    shape = shapes.broadcast_sizes([x.shape, tuple(graph.integers(node.input(1), "shape"))])
    return x if shape == x.shape else graph.bind(f"broadcast({x.text}, {graph.sizes.shape(shape)})", shape)


@handles("Concat")
def concat(graph: Graph, node: Node) -> Value:
    values = [graph.tensor(name) for name in node.inputs]
    axis = node.get("axis", 0) % max(1, values[0].rank)
    values = [value for value in values if value.shape[axis]] or values[:1]
    if len(values) == 1:
        return values[0]
    if len({(*value.shape[:axis], *value.shape[axis + 1 :]) for value in values}) > 1:
        raise Unsupported(f"it joins {' and '.join(str(list(each.shape)) for each in values)} on axis {axis}")
    graph.require_one_sample("joins", *(value.shape[axis] for value in values))
    order = values[0].order
    if any(value.order != order for value in values):
        order = None
        values = [graph.in_order(value, None) for value in values]
    own = axis if order is None else order.index(axis)
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    return graph.bind(f"concat({', '.join(value.text for value in values)}, axis = {own})", shape, order)


@handles("Split")
def split(graph: Graph, node: Node) -> list[Value]:
    x = graph.plain(node.input(0))
    axis = node.get("axis", 0) % max(1, x.rank)
    count, size = len(node.proto.output), x.shape[axis]
    if node.input(1):
        lengths = graph.integers(node.input(1), "list of sizes")
    else:
        longest = -(-size // count)
        lengths = [longest] * (count - 1) + [size - longest * (count - 1)]
    if min(lengths) < 0 or sum(lengths) != size:
        raise Unsupported(f"its parts {lengths} do not add up to {size}")
    found, at = [], 0
    for name, length in zip(node.proto.output, lengths, strict=True):
        graph.title = str(name)
        found.append(sliced(graph, x, axis, at, at + length))
        at += length
    return found


def sliced(graph: Graph, x: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    """Return a slice of a value along one axis, by a positive step."""
    if (start, stop, step) == (0, x.shape[axis], 1):
        return x
    _check_batch(graph, x, axis)
    shape = list(x.shape)
    shape[axis] = -((start - stop) // step)
    if shape[axis] < 1:
        raise Unsupported("it gives a tensor without entries")
    return graph.bind(f"{x.text}{slice_text(graph, x, axis, start, stop, step)}", shape)


def _check_batch(graph: Graph, x: Value, axis: int) -> None:
    """Raise Unsupported where entries are taken along a batch whose size is only assumed to be open."""
    graph.require_one_sample("chooses among", x.shape[axis])


def slice_text(graph: Graph, x: Value, axis: int, start: int, stop: int, step: int = 1) -> str:
    """Return the index that takes a slice along an axis."""
    size = x.shape[axis]
    first = _end(graph, start, size) if start else ""
    last = "" if stop >= size else _end(graph, stop, size)
    own = f"{first}:{last}" + (f":{step}" if step != 1 else "")
    return "[" + ", ".join([":"] * axis + [own]) + "]"


def _end(graph: Graph, at: int, size: int) -> str:
    """Return an index; one that is counted from the end of an open dimension is written so."""
    if graph.sizes.is_open(at) and not graph.sizes.is_open(size - at):
        return str(at - size)
    return graph.sizes.show(at)


@handles("Slice")
def slice_(graph: Graph, node: Node) -> Value:
    x = graph.plain(node.input(0))
    starts = graph.integers(node.input(1), "list of starts")
    ends = graph.integers(node.input(2), "list of ends")
    axes = graph.integers(node.input(3), "list of axes") if node.input(3) else list(range(len(starts)))
    steps = graph.integers(node.input(4), "list of steps") if node.input(4) else [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise Unsupported("its lists of starts, ends, axes and steps do not fit")
    for start, end, axis, step in zip(starts, ends, (a % x.rank for a in axes), steps, strict=True):
        size, is_open = x.shape[axis], graph.sizes.is_open
        if is_open(size) or is_open(start) or is_open(end) or is_open(step):
            if not is_open(size) or is_open(step) or step < 0:
                raise Unsupported("its places depend on an open dimension", FIX)
            x = sliced(graph, x, axis, _within(start, size), _within(end, size), step)
            continue
        places = range(x.shape[axis])[start:end:step]
        if step > 0:
            x = sliced(graph, x, axis, places.start, places.stop, step)
        else:
            x = picked(graph, x, axis, list(places[: MAX_PIECES + 1]))
    return x


def _within(at: int, size: int) -> int:
    """Return a place on an axis of open size; negative ones are counted from its end."""
    if at >= MAX_SIZE or (at >= size):
        return size
    return at if at >= 0 else 0 if at <= -MAX_SIZE else size + at


def picked(graph: Graph, x: Value, axis: int, places: Sequence[int]) -> Value:
    """Return the entries at the places along an axis, one after another."""
    _check_batch(graph, x, axis)
    if graph.sizes.is_open(x.shape[axis]):
        if len(places) != 1:
            raise Unsupported("it takes entries of an axis that is open", FIX)
        return sliced(graph, x, axis, places[0], places[0] + 1)
    runs = _runs(places)
    if not runs or len(runs) > MAX_PIECES:
        many = f"more than {MAX_PIECES} pieces" if runs else "no entries"
        raise Unsupported(f"it takes {many} of an axis")
    if len(runs) == 1:
        return sliced(graph, x, axis, runs[0].start, runs[0].stop, runs[0].step)
    shape = list(x.shape)
    shape[axis] = len(places)
    parts = [f"{x.text}{slice_text(graph, x, axis, each.start, each.stop, each.step)}" for each in runs]
    return graph.bind(f"concat({', '.join(parts)}, axis = {axis})", shape)


def _runs(places: Sequence[int]) -> list[range]:
    """Return the fewest ranges of positive step that the places are, taken in turn."""
    runs: list[range] = []
    for place in places:
        last = runs[-1] if runs else None
        if last is not None and len(last) == 1 and place > last.start:
            runs[-1] = range(last.start, place + 1, place - last.start)
        elif last is not None and len(last) > 1 and place == last[-1] + last.step:
            runs[-1] = range(last.start, place + 1, last.step)
        else:
            runs.append(range(place, place + 1))
    return runs


@handles("Gather")
def gather(graph: Graph, node: Node) -> Value:
    name = node.input(1)
    if name in graph.values and graph.values[name].integer:
        return _gathered(graph, node)
    x = graph.plain(node.input(0))
    axis = node.get("axis", 0) % x.rank
    indices = graph.static(name, "list of indices")
    if indices.size > MAX_PIECES * 64:
        raise Unsupported(f"it takes {indices.size:,} entries of an axis, by a constant")
    size = x.shape[axis]
    places = [int(each) for each in indices.reshape(-1)]
    if not indices.shape and -size <= places[0] < size and not graph.sizes.is_open(size):
        index = "[" + ":, " * axis + f"{places[0] % size}]"
        return graph.bind(f"{x.text}{index}", (*x.shape[:axis], *x.shape[axis + 1 :]))
    if any(not -size <= place < size for place in places):
        raise Unsupported(f"an index is outside of an axis of size {size}")
    found = picked(graph, x, axis, [place + size if place < 0 else place for place in places])
    return graph.reshaped(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def _gathered(graph: Graph, node: Node) -> Value:
    """Rows of a table by an input of whole numbers."""
    table, indices = graph.plain(node.input(0)), graph.values[node.input(1)]
    axis = node.get("axis", 0) % table.rank
    _check_batch(graph, table, axis)
    permutation = (axis, *(each for each in range(table.rank) if each != axis))
    front = graph.in_order(Value(table.text, tuple(table.shape[each] for each in permutation)), None)
    text = table.text if axis == 0 else f"transpose({front.text}, {tuple_text(permutation)})"
    picked_shape = (*indices.shape, *front.shape[1:])
    found = graph.bind(f"gather({text}, {indices.text})", picked_shape)
    if axis == 0:
        return found
    ahead, middle = len(indices.shape), axis
    back = [*range(ahead, ahead + middle), *range(ahead), *range(ahead + middle, found.rank)]
    shape = tuple(found.shape[each] for each in back)
    return graph.bind(f"transpose({found.text}, {tuple_text(back)})", shape)


@handles("Pad")
def pad(graph: Graph, node: Node) -> Value:
    x = graph.plain(node.input(0))
    mode = node.get("mode", "constant")
    widths = graph.integers(node.input(1), "list of widths")
    axes = graph.integers(node.input(3), "list of axes") if node.input(3) else list(range(x.rank))
    value = uniform(graph.static(node.input(2), "value")) if node.input(2) else 0.0
    if len(widths) != 2 * len(axes) or value is None:
        raise Unsupported("its widths do not fit its axes")
    around = [(0, 0)] * x.rank
    for index, axis in enumerate(axes):
        around[axis % x.rank] = widths[index], widths[index + len(axes)]
    for axis, (low, high) in enumerate(around):
        x = sliced(graph, x, axis, max(0, -low), x.shape[axis] + min(0, high))
    around = [(max(0, low), max(0, high)) for low, high in around]
    for axis, widths_of in enumerate(around):
        if any(widths_of):
            graph.require_one_sample("pads", x.shape[axis])
    if mode != "constant":
        return _copied_around(graph, x, around, mode)
    if value == 0:
        return zero_padded(graph, x, around)
    for axis, (low, high) in enumerate(around):
        blocks = [[*x.shape[:axis], width, *x.shape[axis + 1 :]] for width in (low, high)]
        ends = [graph.full(shape, value).text if shape[axis] else "" for shape in blocks]
        x = _joined(graph, x, axis, ends[0], ends[1], low + high)
    return x


def _copied_around(graph: Graph, x: Value, around: Sequence[tuple[int, int]], mode: str) -> Value:
    """Return a value with copies of its entries around it."""
    for axis, (low, high) in enumerate(around):
        size = x.shape[axis]
        if not low and not high:
            continue
        if graph.sizes.is_open(size) or low + high > MAX_PIECES:
            raise Unsupported(f"it pads axis {axis} of {list(x.shape)} with copies")
        outer = range(-low, size + high)
        if mode == "edge":
            places = [min(max(at, 0), size - 1) for at in outer]
        elif mode == "wrap":
            places = [at % size for at in outer]
        elif mode == "reflect" and size > 1:
            period = 2 * size - 2
            places = [min(at % period, period - at % period) for at in outer]
        else:
            raise Unsupported(f"it pads by the mode '{mode}'", "constant, edge, reflect and wrap are known")
        x = picked(graph, x, axis, places)
    return x


def _joined(graph: Graph, x: Value, axis: int, before: str, after: str, more: int) -> Value:
    parts = [part for part in (before, x.text, after) if part]
    shape = [*x.shape[:axis], x.shape[axis] + more, *x.shape[axis + 1 :]]
    return x if len(parts) == 1 else graph.bind(f"concat({', '.join(parts)}, axis = {axis})", shape)


def zero_padded(graph: Graph, x: Value, around: Sequence[tuple[int, int]]) -> Value:
    """Return a value with zeros around."""
    if not any(low or high for low, high in around):
        return x
    shape = [low + size + high for size, (low, high) in zip(x.shape, around, strict=True)]
    return graph.bind(f"pad({x.text}, {tuple_text([tuple_text(pair) for pair in around])})", shape)


def edge_padded(graph: Graph, x: Value, around: Sequence[tuple[int, int]], dilations: Sequence[int]) -> Value:
    """Return a value with its outermost entries repeated around it, as windows of these dilations need it.

    An entry outside is the nearest one inside at a multiple of the dilation, which all windows that hold
    the one and any entry inside hold too. Shapes here are those of the expression.
    """
    if sum(low + high for low, high in around) > MAX_PIECES:
        raise Unsupported(f"it pads by more than {MAX_PIECES} entries")
    for axis, ((low, high), step) in enumerate(zip(around, dilations, strict=True)):
        if (low or high) and x.shape[axis] < step:
            raise Unsupported(f"its dilation {step} is larger than its input")
        lead = "[" + ":, " * axis
        before = [f"{x.text}{lead}{_one(at % step)}]" for at in range(-low, 0)]
        after = [f"{x.text}{lead}{_one(-1 - (-1 - at) % step)}]" for at in range(high)]
        x = _joined(graph, x, axis, ", ".join(before), ", ".join(after), low + high)
    return x


def _one(at: int) -> str:
    """Return the slice that holds one entry."""
    return f"{at}:" if at == -1 else f"{at}:{at + 1}"
