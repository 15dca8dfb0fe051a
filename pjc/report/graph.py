"""The constraint graph of a problem: its nodes, what each reads through views, and its loops."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.ir import Operation, SSAValue

from pjc.dialects import feas, ops
from pjc.dialects.nodes import GivenOp, NodeOp, SourceOp
from pjc.dialects.shapes import show
from pjc.dialects.view import ViewOp, element_of, shape_of
from pjc.notebook import name_of
from pjc.passes.analysis.depth import distances
from pjc.passes.analysis.graph import only
from pjc.report.dumps import Place, place_of
from pjc.runtime.projections import SETS

_EXAMPLE = re.compile(r"[:,]\s+``op\.")
"""Where a docstring goes on with a line of IR."""
Shown = NodeOp | SourceOp | ops.OutputOp


@dataclass(frozen=True)
class Node:
    """A node of the graph.

    ``kind`` is one of "given", "parameter", "constraint", "requirement" and "output"; ``set`` says what must
    hold, in the words of its docstring; ``level`` is how many products lie between it and the nearest
    requirement; ``fused`` are the labels of the operations of the network that became part of it.
    """

    label: str
    operator: str
    kind: str
    set: str
    shape: str
    operands: tuple[str, ...]
    part: str
    level: int | None
    place: Place | None
    loop: int | None
    family: int
    fused: tuple[str, ...]


@dataclass(frozen=True)
class Edge:
    """A node that reads another, by their numbers, and the views between, the reader's last."""

    source: int
    reader: int
    views: tuple[str, ...]


@dataclass(frozen=True)
class Loop:
    """A loop whose iterations are one family of nodes each."""

    label: str
    count: int


@dataclass
class Graph:
    """The graph; edges and the loops of nodes are numbers of its lists."""

    nodes: list[Node] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    loops: list[Loop] = field(default_factory=list)


def graph_of(problem: ModuleOp, network: ModuleOp | None) -> Graph:
    """Return the graph of a module of the feas stage; ``network`` is that of net, where there is one."""
    root = only(problem, feas.ProblemOp)
    shown: list[Shown] = [op for op in root.walk() if isinstance(op, Shown)]
    at = {op: number for number, op in enumerate(shown)}
    loops = {loop: None for loop in map(feas.loop_of, shown) if loop is not None}
    numbers = {loop: number for number, loop in enumerate(loops)}
    fused = {} if network is None else _fused(network, {name_of(op) for op in shown})
    levels = distances(root)
    made = Graph(loops=[Loop(loop.label.data, loop.count.data) for loop in loops])
    for op in shown:
        loop = feas.loop_of(op)
        level = levels.get(op) if isinstance(op, NodeOp) else None
        inside = None if loop is None else numbers[loop]
        made.nodes.append(_node(op, level, inside, tuple(fused.get(name_of(op), ()))))
        made.edges += [Edge(at[source], at[op], views) for source, views in _read(op)]
    return made


def _node(op: Shown, level: int | None, loop: int | None, fused: tuple[str, ...]) -> Node:
    part = op.part.data if isinstance(op, NodeOp) and op.part is not None else ""
    family = op.family.value.data if isinstance(op, ops.ParameterOp) and op.family is not None else 1
    return Node(
        name_of(op),
        _operator(op),
        _kind(op),
        _set(op),
        _typed(op.results[0]) if op.results else "",
        tuple(map(_typed, op.operands)),
        part,
        level,
        place_of(op),
        loop,
        family,
        fused,
    )


def _operator(op: Shown) -> str:
    """Return what an operation is called: of a set its kind, of a user's operator its own name."""
    for field_name in ("kind", "operator_name"):
        found = op.properties.get(field_name)
        if isinstance(found, StringAttr):
            return found.data
    return op.operator if isinstance(op, NodeOp) else op.name.rpartition(".")[2]


def _kind(op: Shown) -> str:
    if isinstance(op, SourceOp | GivenOp):
        return "given"
    if isinstance(op, ops.ParameterOp):
        return "parameter"
    if isinstance(op, ops.OutputOp):
        return "output"
    return "requirement" if isinstance(op, ops.LossOp | ops.SetOp) else "constraint"


def _set(op: Shown) -> str:
    """Return the first paragraph of what an operation, or the set that it requires, says of itself."""
    about = SETS.get(op.kind.data, type(op)) if isinstance(op, ops.SetOp) else type(op)
    said = (inspect.getdoc(about) or "").partition("\n\n")[0]
    return " ".join(_EXAMPLE.split(said)[0].replace("``", "").split()).rstrip(".")


def _typed(value: SSAValue) -> str:
    return f"{show(shape_of(value))} {element_of(value)}"


def _read(op: Operation) -> Iterator[tuple[Shown, tuple[str, ...]]]:
    """Yield what an operation reads, each once, with the views that the value goes through."""
    waiting: list[tuple[SSAValue, tuple[str, ...]]] = [(each, ()) for each in op.operands]
    seen: set[Operation] = set()
    while waiting:
        value, views = waiting.pop(0)
        owner = value.owner
        if not isinstance(owner, Operation) or owner in seen:
            continue
        seen.add(owner)
        if isinstance(owner, Shown):
            yield owner, views
        elif isinstance(owner, ViewOp):
            named = owner.name.removeprefix("view.")
            waiting += [(each, (named, *views)) for each in owner.operands]


def _fused(network: ModuleOp, left: set[str]) -> dict[str, list[str]]:
    """Return the operations of a network that are not ``left``, by the label of what they are part of now.

    An operation is fused into its one reader, which may be fused itself.
    """
    found: dict[str, list[str]] = {}
    for op in network.walk():
        if isinstance(op, NodeOp) and name_of(op) not in left:
            reader: Operation | None = op
            while isinstance(reader, NodeOp) and name_of(reader) not in left:
                reader = _only_reader(reader)
            if isinstance(reader, NodeOp):
                found.setdefault(name_of(reader), []).append(name_of(op))
    return found


def _only_reader(op: Operation) -> Operation | None:
    readers: Sequence[Operation] = [use.operation for value in op.results for use in value.uses]
    return readers[0] if len(readers) == 1 else None
