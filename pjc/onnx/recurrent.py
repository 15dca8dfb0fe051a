"""Recurrent layers, as loops of the language."""

from __future__ import annotations

from collections.abc import Sequence

from pjc.onnx.constants import uniform
from pjc.onnx.graph import Graph, Node, Unsupported, Value, handles
from pjc.onnx.reading import one_line
from pjc.onnx.views import picked


@handles("RNN")
def rnn(graph: Graph, node: Node) -> Sequence[Value]:
    """``h = relu(x[t] @ W' + h @ R' + b)``, as a loop of the language for each direction."""
    activations = [each.decode() if isinstance(each, bytes) else each for each in node.get("activations", [])]
    direction = node.get("direction", "forward")
    turned = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    if [each.lower() for each in activations] != ["relu"] * len(turned):
        found = ", ".join(map(one_line, activations)) or "Tanh"
        raise Unsupported(
            f"its activation is {found}", "Relu has a projection: torch.nn.RNN(.., nonlinearity='relu')"
        )
    if node.get("clip"):
        raise Unsupported("it clips", "a clipped Relu can be written as a step of a network in .pjn")
    layout = node.get("layout", 0)
    x = graph.plain(node.input(0))
    time, batch = (x.shape[1], x.shape[0]) if layout else (x.shape[0], x.shape[1])
    if graph.sizes.is_open(time):
        raise Unsupported("the number of its time steps is open", "give that dimension a fixed size")
    if node.input(4) and uniform(graph.static(node.input(4), "list of lengths")) != time:
        raise Unsupported("it takes sequences of several lengths", "leave them out, and pad the sequences")
    title = graph.title
    ways = [_way(graph, node, x, way, time, batch, title, reverse=each) for way, each in enumerate(turned)]
    hidden = ways[0][0].shape[-1]
    # All states are [time, directions, batch, hidden]; with the other layout the batch comes first.
    shape = (batch, time, 1, hidden) if layout else (time, 1, batch, hidden)
    end = (batch, 1, hidden) if layout else (1, batch, hidden)
    graph.title = f"{title or 'y'}_all"
    states = [graph.reshaped(every, shape) for every, _ in ways]
    lasts = [graph.reshaped(last, end) for _, last in ways]
    return [_joined(graph, states, 2 if layout else 1), _joined(graph, lasts, 1 if layout else 0)]


def _joined(graph: Graph, parts: Sequence[Value], axis: int) -> Value:
    """Return the directions side by side, along an axis on which each has size 1."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    shape[axis] = len(parts)
    return graph.bind(f"concat({', '.join(each.text for each in parts)}, axis = {axis})", shape)


def _way(
    graph: Graph, node: Node, x: Value, way: int, time: int, batch: int, title: str, *, reverse: bool
) -> tuple[Value, Value]:
    """Return all states of one direction, [time, batch, hidden] or [batch, time, hidden], and the last."""
    layout = node.get("layout", 0)
    axis = 1 if layout else 0
    weight, recurrent = (graph.plain(node.input(index)) for index in (1, 2))
    graph.require_one_sample("adds up", x.shape[-1], *weight.shape, *recurrent.shape)
    hidden = recurrent.shape[-1]
    state = (batch, hidden)
    backwards = range(time - 1, -1, -1)
    if reverse:
        graph.title = f"{x.text}_backwards"
        x = picked(graph, x, axis, backwards)
    h = graph.name(f"{title or 'h'}_state")
    if node.input(5):
        given = graph.plain(node.input(5))
        graph.require_one_sample("starts from", given.shape[1 if layout else 0], given.shape[-1])
        start = f"{given.text}[{':, ' if layout else ''}{way}]"
    else:
        start = f"full({graph.sizes.shape(state)}, 0)"
    step, y = graph.name("t"), graph.name(title or "y")
    graph.line(f"{h} = {start}")
    terms = [
        f"{x.text}[{':, ' if layout else ''}{step}] @ transpose({weight.text}[{way}])",
        f"{h} @ transpose({recurrent.text}[{way}])",
    ]
    if node.input(3):
        bias = graph.plain(node.input(3))
        graph.require_one_sample("adds up", *bias.shape)
        terms += [f"{bias.text}[{way}, :{hidden}]", f"{bias.text}[{way}, {hidden}:]"]
    graph.line(f"for {step} in 0..{time} {{")
    graph.line(f"  {h} = sum_relu({', '.join(terms)})")
    graph.line(f"  {y} = {h}")
    graph.line("}")
    rows = Value(y, (time, *state))
    if layout:
        rows = Value(f"transpose({y}, (1, 0, 2))", (batch, time, hidden))
    if reverse:
        graph.title = f"{y}_forwards"
        rows = picked(graph, graph.bind(rows.text, rows.shape), axis, backwards)
    return rows, Value(h, state)
