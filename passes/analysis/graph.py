"""The graph of a problem's nodes, as a networkx graph, and what its parts have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import networkx as nx
from xdsl.dialects.builtin import ArrayAttr, ModuleOp, StringAttr
from xdsl.ir import Operation

from pjc.dialects import feas, ops

OpT = TypeVar("OpT")


def only(module: ModuleOp, kind: type[OpT]) -> OpT:
    """Return the module's one op of a kind."""
    return next(op for op in module.ops if isinstance(op, kind))


def problems(module: ModuleOp) -> list[feas.ProblemOp]:
    """Return the feasibility problems of a module."""
    return [op for op in module.ops if isinstance(op, feas.ProblemOp)]


def replace_problems(module: ModuleOp, lower: Callable[[feas.ProblemOp], Operation]) -> None:
    """Put what each problem of a module is lowered to in its place, as found where the problem was."""
    for problem in problems(module):
        program = lower(problem)
        program.location = problem.location
        module.body.block.insert_op_before(program, problem)
        problem.detach()
        problem.erase()


def training_nodes(problem: feas.ProblemOp) -> list[ops.NodeOp]:
    """Return the nodes that reach a loss or a set, in the order of the text; others only serve ``apply``."""
    reached: dict[ops.NodeOp, None] = {}
    pending: list[ops.NodeOp] = [node for node in problem.nodes() if isinstance(node, ops.LossOp | ops.SetOp)]
    while pending:
        node = pending.pop()
        if node not in reached:
            reached[node] = None
            pending += [source for operand in node.operands for source in feas.sources(operand)]
    return [node for node in problem.nodes() if node in reached]


def node_graph(problem: feas.ProblemOp) -> nx.DiGraph[int]:
    """Return the training nodes and an edge from each to every training node that reads it.

    Graph nodes are positions in :func:`training_nodes`, so that every walk has one fixed order.
    """
    nodes = training_nodes(problem)
    position = {node: index for index, node in enumerate(nodes)}
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    for index, node in enumerate(nodes):
        for operand in node.operands:
            for source in feas.sources(operand):
                graph.add_edge(position[source], index)
    return graph


def set_parts(problem: feas.ProblemOp, names: list[str], part_of: dict[ops.NodeOp, str]) -> None:
    """Record the parts of a problem, in the order of projection, and the part of each node.

    A problem in which no node has a part has no parts: there is nothing to train.
    """
    problem.parts = ArrayAttr([StringAttr(name) for name in names]) if part_of else None
    for node in problem.nodes():
        part = part_of.get(node)
        node.part = None if part is None else StringAttr(part)
