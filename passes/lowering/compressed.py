"""Lower dots and convolutions in a compressed form: their projection, and the factors that it needs."""

from __future__ import annotations

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, Operation, SSAValue

from pjc.dialects import ops, proj
from pjc.dialects.forms import HALFWAY
from pjc.dialects.view import ViewOp, shape_of, tensor_like
from pjc.passes.bipartition import PARTS
from pjc.passes.lowering.holding import held_name, held_operands, held_type, name_of, writes_of

OPERAND_FACTORS = {"held": ("c", "d"), "factored": ("cf", "de")}
"""What a halfway form holds of its first operand, and of its second; letters are names."""

FIRST_PART = PARTS[0]
"""The part that an iteration projects first. What a dot in it has agreed on is what part B wrote last, which
the state between does not show: there c and d are written by the nodes that the dot reads."""


def is_told(node: ops.NodeOp) -> bool:
    """Whether a dot holds what its operands agree on because the nodes that it reads write it there."""
    return (
        isinstance(node, ops.BilinearOp)
        and node.form in HALFWAY
        and node.part is not None
        and node.part.data == FIRST_PART
    )


def told_name(node: ops.NodeOp, operand: int) -> str:
    """Return the name of the variable that holds what an operand agrees on."""
    return factor_name(node, "cd"[operand])


def factor_place(node: ops.NodeOp, factor: str) -> proj.Place:
    """Return what the variable is that holds a factor of a halfway form."""
    operands = [index for form in OPERAND_FACTORS.values() for index in (0, 1) if factor in form[index]]
    return proj.Place(node.called, factor, operands[0] if operands else None)


def factor_name(node: ops.NodeOp, factor: str) -> str:
    """Return the name of the variable that holds a factor of a halfway form."""
    return name_of(factor_place(node, factor))


def factor_types(node: ops.BilinearOp) -> dict[str, TensorType[Attribute]]:
    """Return what a halfway form holds beside the means, by role; see runtime/projections/dot_halfway.py.

    c and f belong to the first operand, d and e to the second; those of an operand that holds data alone are
    the data.
    """
    names = OPERAND_FACTORS[node.form]
    types = {
        name: tensor_like(value, shape_of(value))
        for index, value in enumerate(node.operands)
        if index in held_operands(node)
        for name in names[index]
    }
    if node.form == "held":
        assert isinstance(node, ops.DotOp)
        copies = tensor_like(node.result, node.copies_shape())
        return {**types, "sigma": copies, "delta": copies}
    result = tensor_like(node.result, shape_of(node.result))
    return {**types, "alpha": result, "beta": result, "product": result}


def first_factors(node: ops.BilinearOp, values: dict[SSAValue, SSAValue]) -> list[proj.WriteOp]:
    """Return the writes of the factors of copies that all agree; those not written are zero."""
    names = OPERAND_FACTORS[node.form]
    return [
        proj.WriteOp(
            values[node.operands[index]],
            [proj.PathAttr(factor_name(node, name)) for name in names[index]],
        )
        for index in held_operands(node)
    ]


def compressed_projection(node: ops.BilinearOp, z: SSAValue) -> tuple[list[Operation], SSAValue]:
    """Return the projection of a dot that is not exact, and the value that it gives."""
    halfway = node.form in HALFWAY
    wanted = held_operands(node)
    made: list[Operation] = []
    inputs: list[SSAValue] = []
    for index, operand in enumerate(node.operands):
        if index in wanted:
            told = is_told(node)
            name = told_name(node, index) if told else held_name(node, index)
            read = proj.ReadOp(name, held_type(node, index), given=halfway and not told)
            made.append(read)
            inputs.append(read.result)
        else:
            inputs.append(_data_value(operand, made))
    if not halfway:
        shared = proj.ProjectSharedOp(node.operator, node.fields(), node.called, inputs, z, wanted)
        return [*made, shared, *writes_of(node, wanted, shared.new_means)], shared.new_value
    types = factor_types(node)
    if is_told(node):  # then nothing is reflected: see runtime/projections/dot_halfway.py
        types = {name: type for name, type in types.items() if name not in "cd"}
    held = {name: proj.ReadOp(factor_name(node, name), type) for name, type in types.items()}
    project = proj.ProjectHalfwayOp(
        node.operator,
        node.fields(),
        node.form,
        node.called,
        inputs,
        {name: read.result for name, read in held.items()},
        z,
        wanted,
    )
    keep = [
        proj.WriteOp(value, [proj.PathAttr(factor_name(node, name))])
        for name, value in zip(types, project.new_factors, strict=True)
    ]
    writes = writes_of(node, wanted, project.new_means, [inputs[index] for index in wanted])
    return [*made, *held.values(), project, *writes, *keep], project.new_value


def _data_value(value: SSAValue, made: list[Operation]) -> SSAValue:
    """Return a value of data and views, adding the ops that make it."""
    owner = value.owner
    if isinstance(owner, ops.GivenOp | ops.IndexOp):
        new = given_value(owner)
    else:
        assert isinstance(owner, ViewOp)
        operands = {operand: _data_value(operand, made) for operand in owner.operands}
        new = owner.clone(value_mapper=operands)
    made.append(new)
    return new.results[0]


def given_value(node: ops.GivenOp | ops.IndexOp) -> Operation:
    """Return the op that gives the value of a datum, of a constant, or indices."""
    if isinstance(node, ops.ConstantOp):
        constant = node.clone()
        constant.part, constant.result.name_hint = None, None
        return constant
    assert isinstance(node, ops.SourceOp)
    return proj.DatumOp(node.label.data, node.result.type)
