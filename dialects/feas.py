"""The feas dialect: training as a feasibility problem.

A problem is a graph of *nodes* (data, parameters, constraints, losses, sets; :mod:`pjc.dialects.ops`), joined
by views. An edge runs from a node to every node that reads its value, through any views between them. A node
carries the part that it is projected in, once a pass has chosen it; a node without a part is evaluated by
``apply`` but takes no part in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.dialects.builtin import ArrayAttr, DictionaryAttr, IntAttr, StringAttr, SymbolNameConstraint
from xdsl.ir import Attribute, Block, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    region_def,
    traits_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, SymbolOpInterface

from pjc.dialects.blame import BrokenRule
from pjc.dialects.declarations import verify_dims, verify_outputs, verify_sources
from pjc.dialects.ops import IdentityOp, LossOp, NodeOp, OperationOp, OutputOp, ParameterOp, SetOp, SourceOp
from pjc.dialects.steps import Step
from pjc.dialects.view import ViewOp


@irdl_attr_definition
class LoopAttr(ParametrizedAttribute):
    """The loop that an op repeats in, and how often: ``{loop = #feas.loop<"t" 16>}``.

    A node in a loop is a family of nodes, one for each iteration, which share its first axis evenly.
    """

    name = "feas.loop"

    label: StringAttr
    count: IntAttr

    def __init__(self, label: str, count: int) -> None:
        super().__init__(StringAttr(label), IntAttr(count))

    def print_parameters(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            printer.print_string_literal(self.label.data)
            printer.print_string(f" {self.count.data}")

    @classmethod
    def parse_parameters(cls, parser: AttrParser) -> Sequence[Attribute]:
        with parser.in_angle_brackets():
            label = parser.parse_str_literal("the label of a loop")
            count = parser.parse_integer(allow_boolean=False, allow_negative=False)
        return LoopAttr(label, count).parameters


def loop_of(owner: Operation | Block) -> LoopAttr | None:
    """Return the loop that a node or a view repeats in, if any; ``owner`` may be that of a value."""
    found = owner.attributes.get("loop") if isinstance(owner, Operation) else None
    return found if isinstance(found, LoopAttr) else None


def put_in_loop(op: Operation, loop: LoopAttr | None) -> None:
    """Make an op repeat in a loop, or in none."""
    if loop is None:
        op.attributes.pop("loop", None)
    else:
        op.attributes["loop"] = loop


@irdl_op_definition
class ProblemOp(IRDLOperation):
    """A feasibility problem: ``feas.problem @mlp dims {batch = 128} { ... }``.

    ``parts`` lists the parts in the order in which a solver projects them.
    """

    name = "feas.problem"

    sym_name = prop_def(SymbolNameConstraint())
    dims = prop_def(DictionaryAttr)
    parts = opt_prop_def(ArrayAttr[StringAttr])
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())

    assembly_format = "$sym_name `dims` $dims (`parts` $parts^)? attr-dict-with-keyword $body"

    def __init__(self, name: str, dims: DictionaryAttr, body: Region) -> None:
        super().__init__(properties={"sym_name": StringAttr(name), "dims": dims}, regions=[body])

    def nodes(self) -> list[NodeOp]:
        """Return the nodes in the order of the text."""
        return [op for op in self.body.block.ops if isinstance(op, NodeOp)]

    def part_names(self) -> tuple[str, ...]:
        """Return the parts in the order of projection; empty before a pass has chosen them."""
        return () if self.parts is None else tuple(part.data for part in self.parts)

    def verify_(self) -> None:
        verify_dims(self.dims)
        verify_sources(self.dims, [op for op in self.body.block.ops if isinstance(op, SourceOp)])
        verify_outputs(op for op in self.body.block.ops if isinstance(op, OutputOp))
        known = self.part_names()
        labels: set[str] = set()
        for node in self.nodes():
            if node.part is not None and node.part.data not in known:
                raise BrokenRule(
                    f"node '{node.called}' is in part '{node.part.data}', "
                    f"but the problem's parts are {list(known)}",
                    node,
                )
            if isinstance(node, OperationOp | LossOp | SetOp | ParameterOp):
                if node.called in labels:
                    raise BrokenRule(f"two nodes are called '{node.called}'", node)
                labels.add(node.called)
            for reader, _, _ in readers(node):
                if node.part is not None and node.part == reader.part:
                    raise BrokenRule(
                        f"'{node.called}' feeds '{reader.called}' and both are in part "
                        f"'{node.part.data}'; a part must hold independent nodes",
                        reader,
                    )


Reader = tuple[NodeOp, int, tuple[Step, ...]]
"""A node that reads a value, by which operand, and the steps from the value to that operand."""


def readers(node: Operation) -> list[Reader]:
    """Return the nodes that read the node's value, through views."""
    return _readers_of(node.results[0], ()) if node.results else []


def _readers_of(value: SSAValue, path: tuple[Step, ...]) -> list[Reader]:
    found: list[Reader] = []
    for use in value.uses:
        op = use.operation
        if isinstance(op, ViewOp):
            found += _readers_of(op.results[0], (*path, op.step(use.index)))
        elif isinstance(op, NodeOp):
            found.append((op, use.index, path))
    return found


def sources(value: SSAValue) -> list[NodeOp]:
    """Return the nodes whose entries a value holds, through views, each once."""
    owner = value.owner
    if isinstance(owner, NodeOp):
        return [owner]
    if isinstance(owner, ViewOp):
        found = [node for operand in owner.operands for node in sources(operand)]
        return list(dict.fromkeys(found))
    return []


def ways_to(value: SSAValue, path: tuple[Step, ...] = ()) -> Iterator[tuple[NodeOp, tuple[Step, ...]]]:
    """Yield the nodes whose entries a value holds, each with the steps from there, one way after another.

    It looks through identities, which a split into parts puts between.
    """
    owner = value.owner
    if isinstance(owner, ViewOp):
        for index, operand in enumerate(owner.operands):
            yield from ways_to(operand, (owner.step(index), *path))
    elif isinstance(owner, IdentityOp):
        yield from ways_to(owner.operands[0], path)
    elif isinstance(owner, NodeOp):
        yield owner, path


def is_of_parameters(node: SetOp) -> bool:
    """Whether a set is one of parameters, which are projected onto it before they are used.

    One of rows that are taken by number is not: which they are, only a batch tells.
    """
    return all(
        isinstance(source, ParameterOp) and not any(step.datum() is not None for step in steps)
        for source, steps in ways_to(node.value)
    )


FEAS = Dialect("feas", [ProblemOp], [LoopAttr])
