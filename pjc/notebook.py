"""What a notebook shows of a compiled program: a table of its layers, and its graph as a picture.

Names come from others' files: all text is escaped.
"""

from __future__ import annotations

import html
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation

from pjc.dialects import ops
from pjc.dialects.nodes import NodeOp, SourceOp
from pjc.dialects.projecting import ProjectHalfwayOp
from pjc.dialects.requirements import SetOp
from pjc.dialects.shapes import show
from pjc.dialects.variables import VariableOp
from pjc.dialects.view import shape_of
from pjc.ir_text import parse_module
from pjc.universe import context

if TYPE_CHECKING:
    from pjc.runtime.program import Program

MAX_DRAWN = 120
"""The most nodes of a graph that is drawn; of a larger one there is the table alone."""
_WIDTH, _HEIGHT, _GAP_X, _GAP_Y = 150, 40, 24, 36
_LETTERS = 20
"""How many letters of a line fit into a box."""
_COLUMNS = ("layer", "shape", "parameters", "constraint", "form", "bytes")
_BYTES = {"f32": 4, "f64": 8, "i32": 4, "i64": 8}


@dataclass(frozen=True)
class Layer:
    """A row of the table: an operation of the network, an input, or a parameter.

    ``parameters`` counts the numbers of a parameter; ``constraint`` is the operator, or the sets that a
    parameter is required to be in; ``form`` is that of the copies that the solver holds, where it chose one;
    ``size`` is how many bytes of state it holds of the node.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    constraint: str
    form: str
    size: int


def page(program: Program) -> str:
    """Return the program as HTML: what it takes and gives, its layers, and its graph.

    Where a source starts behind the network, there are no layers and no graph to show.
    """
    head = f"<pre>{html.escape(str(program))}</pre>"
    if "net" not in program.stages():
        return f"<div>{head}</div>"
    module = parse_module(context(), program.ir("net"), "net")
    nodes = [op for op in module.walk() if isinstance(op, NodeOp | SourceOp)]
    return f"<div>{head}{_table(_layers(nodes, program))}{picture(nodes)}</div>"


def _layers(nodes: Sequence[Operation], program: Program) -> list[Layer]:
    """Return the rows of the table, in the order of the text."""
    sizes, forms = _held(program)
    sets: dict[object, list[str]] = {}
    for op in nodes:
        if isinstance(op, SetOp):
            sets.setdefault(op.value, []).append(str(op.kind.data))
    found = []
    for op in nodes:
        if isinstance(op, SetOp | ops.OutputOp):
            continue
        name = name_of(op)
        shape = shape_of(op.results[0]) if op.results else ()
        parameter = isinstance(op, ops.ParameterOp)
        constraint = ", ".join(sets.get(op.results[0], [])) if parameter else _operator(op)
        count = math.prod(shape) if parameter else 0
        found.append(Layer(name, shape, count, constraint, forms.get(name, ""), sizes[name]))
    return found


def _held(program: Program) -> tuple[Counter[str], dict[str, str]]:
    """Return what :func:`held` does of a program; nothing where it has no such stage."""
    if "proj" not in program.stages():
        return Counter(), {}
    return held(parse_module(context(), program.ir("proj"), "proj"))


def held(module: ModuleOp) -> tuple[Counter[str], dict[str, str]]:
    """Return how many bytes of state the solver of a proj module holds of each node, and in which form."""
    sizes, forms = Counter[str](), dict[str, str]()
    for op in module.walk():
        if isinstance(op, VariableOp):
            width = _BYTES.get(str(op.type.element_type), 4)
            sizes[op.node.data] += math.prod(shape_of(op.type)) * width
        elif isinstance(op, ProjectHalfwayOp):
            forms[name_of(op)] = op.form.data
    return sizes, forms


def name_of(op: Operation) -> str:
    """Return the label of a node, or what it is."""
    for field in ("label", "node"):
        label = getattr(op, field, None)
        if label is not None and hasattr(label, "data"):
            return str(label.data)
    return op.name


def _operator(op: Operation) -> str:
    return op.operator if isinstance(op, NodeOp) else op.name.rpartition(".")[2]


def _table(layers: Sequence[Layer]) -> str:
    """Return the rows as a table of HTML, with totals."""
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = [
        (
            each.name,
            show(each.shape) if each.shape else "",
            f"{each.parameters:,}" if each.parameters else "",
            each.constraint,
            each.form,
            f"{each.size:,}" if each.size else "",
        )
        for each in layers
    ]
    total = sum(each.parameters for each in layers), sum(each.size for each in layers)
    rows.append(("total", "", f"{total[0]:,}", "", "", f"{total[1]:,}"))
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def graph(nodes: Sequence[Operation]) -> nx.DiGraph[int]:
    """Return the graph of operations, numbered in their order: an edge from each to those that read it.

    What stands between two that are shown, as views do, is passed through.
    """
    made: nx.DiGraph[int] = nx.DiGraph()
    at = {id(op): number for number, op in enumerate(nodes)}
    made.add_nodes_from(at.values())
    for op in nodes:
        waiting, seen = list(op.operands), set[int]()
        while waiting:
            owner = waiting.pop().owner
            if not isinstance(owner, Operation) or id(owner) in seen:
                continue
            seen.add(id(owner))
            if id(owner) in at:
                made.add_edge(at[id(owner)], at[id(op)])
            else:
                waiting.extend(owner.operands)
    return made


def picture(nodes: Sequence[Operation]) -> str:
    """Return the graph as SVG, inputs on top; "" if there are too many nodes to draw, or none."""
    found = graph(nodes)
    if not 0 < len(found) <= MAX_DRAWN or not nx.is_directed_acyclic_graph(found):
        return ""
    places = _places(found)
    width = max(x for x, _ in places.values()) + _WIDTH + _GAP_X
    height = max(y for _, y in places.values()) + _HEIGHT + _GAP_Y
    lines = [
        f'<line x1="{places[one][0] + _WIDTH / 2:g}" y1="{places[one][1] + _HEIGHT:g}" '
        f'x2="{places[other][0] + _WIDTH / 2:g}" y2="{places[other][1]:g}" stroke="#888"/>'
        for one, other in found.edges
    ]
    boxes = [_box(op, *places[number]) for number, op in enumerate(nodes)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'font-family="sans-serif" font-size="11">{"".join(lines + boxes)}</svg>'
    )


def _places(found: nx.DiGraph[int]) -> dict[int, tuple[float, float]]:
    """Return where each box is: a row for each layer, in it near the mean of what it reads."""
    places: dict[int, tuple[float, float]] = {}
    for row, members in enumerate(nx.topological_generations(found)):

        def wanted(node: int) -> float:
            above = [places[each][0] for each in found.predecessors(node) if each in places]
            return sum(above) / len(above) if above else 0.0

        for column, node in enumerate(sorted(members, key=lambda node: (wanted(node), node))):
            places[node] = (_GAP_X + column * (_WIDTH + _GAP_X), _GAP_Y / 2 + row * (_HEIGHT + _GAP_Y))
    return places


def _box(op: Operation, x: float, y: float) -> str:
    """Return a box with the name of a node and what it is."""
    what = _operator(op) + (f" {show(shape_of(op.results[0]))}" if op.results else "")
    fill = "#e8f0fe" if isinstance(op, ops.ParameterOp) else "#f4f4f4"
    texts = "".join(
        f'<text x="{x + _WIDTH / 2:g}" y="{y + below}" text-anchor="middle">{_short(text)}</text>'
        for text, below in ((name_of(op), 16), (what, 31))
    )
    whole = html.escape(f"{name_of(op)}: {what}")
    return (
        f'<g><title>{whole}</title><rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" '
        f'fill="{fill}" stroke="#888"/>{texts}</g>'
    )


def _short(text: str) -> str:
    return html.escape(text if len(text) <= _LETTERS else text[: _LETTERS - 1] + "…")
