"""What a node holds of its inputs: all copies, or in a compressed form less."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue

from pjc.dialects import feas, ops, proj
from pjc.dialects.steps import Step, shape_after
from pjc.dialects.view import element_of, shape_of
from pjc.passes.lowering.forward import is_common


def form_of(node: ops.NodeOp) -> str:
    """Return how the node's copies are represented."""
    return node.form if isinstance(node, ops.BilinearOp) else "exact"


def held_operands(node: ops.NodeOp) -> list[int]:
    """Return the operands of which the node holds something.

    All but a loss's target; and in a compressed form, where the copies of data never matter, all but those
    that hold data alone.
    """
    if isinstance(node, ops.LossOp):
        return [0]
    operands = range(len(node.operands))
    if form_of(node) == "exact":
        return list(operands)
    return [i for i in operands if not all_data(node.operands[i])]


def all_data(value: SSAValue) -> bool:
    """Whether all entries of the value are data."""
    return all(isinstance(source, ops.GivenOp) for source in feas.sources(value))


def held_place(node: ops.NodeOp, operand: int) -> proj.Place:
    """Return what the variable is that holds the node's copies of an operand, or their mean."""
    return proj.Place(node.called, "copies" if form_of(node) == "exact" else "mean", operand)


def held_name(node: ops.NodeOp, operand: int) -> str:
    """Return the name of the variable that holds the node's copies of an operand, or their mean."""
    return name_of(held_place(node, operand))


def slot_place(node: ops.ParameterOp) -> proj.Place:
    """Return what the variable is that records a parameter."""
    return proj.Place(node.called, "slot")


def slot_name(node: ops.ParameterOp) -> str:
    """Return the name of the variable that records a parameter."""
    return name_of(slot_place(node))


def name_of(place: proj.Place) -> str:
    """Return the name that a variable gets. Nothing is read back from it."""
    short = place.role in ("copies", "mean")
    return f"{place.node}.{place.operand if short else place.role}"


def spread_steps(node: ops.NodeOp, operand: int) -> tuple[Step, ...]:
    """Return the steps from an operand to what the node holds of it: one copy for all, or each its own."""
    return node.operand_path(operand) if form_of(node) == "exact" else ()


def held_by_all(node: ops.NodeOp, operand: int) -> bool:
    """Whether the nodes of a family hold together what they hold of an operand, rather than a share each."""
    return form_of(node) != "exact" and is_common(node, operand)


def held_type(node: ops.NodeOp, operand: int) -> TensorType[Attribute]:
    """Return the type of what the node holds of an operand."""
    value = node.operands[operand]
    shape = shape_after(spread_steps(node, operand), shape_of(value))
    return TensorType(element_of(value), list(shape))


def writes_of(
    node: ops.NodeOp,
    operands: Sequence[int],
    values: Sequence[SSAValue],
    agreed: Sequence[SSAValue] | None = None,
) -> list[proj.WriteOp]:
    """Return the writes of new values, or what they are beyond others, into what a node holds of operands."""
    others: Sequence[SSAValue | None] = [None] * len(values) if agreed is None else agreed
    return [
        proj.WriteOp(value, [proj.PathAttr(held_name(node, index))], other)
        for index, value, other in zip(operands, values, others, strict=True)
    ]
