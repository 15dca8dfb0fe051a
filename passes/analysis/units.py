"""Which output has the units of a target: where a target may be shifted and scaled, and the output back."""

from __future__ import annotations

from xdsl.ir import Operation, SSAValue

from pjc.dialects import feas, ops, shapes
from pjc.dialects.view import BroadcastOp, ReshapeOp, shape_of


def output_of(target: ops.TargetOp) -> str | None:
    """Return the output that a target's numbers are those of, if both may be given in other units.

    They may where it makes no difference to what the network can say, so that the loss is the squared error
    of an output, alone with it:

    - The target is read by one loss, as it is, and that is ``squared_error``. The bounds of a margin, the
      levels of a set and an equality are numbers that were chosen in the data's own units.
    - Its value is an output, of the target's shape where the columns' units may differ, and neither another
      operation, nor another loss or set, reads it: they would see it in other units.
    - The value is a product with weights in no set, or a sum of such products and of biases in no set: the
      weights can stretch it.
    - The sum has a bias for each column, or what a product multiplies has been given a bias: they can shift
      it. A rectified value, a value beside one of the data, and a product through the origin cannot.

    A target that is also an input is none of those: the network reads it in its own units.
    """
    loss = _loss_of(target)
    if loss is None:
        return None
    value, output = _made(loss)
    columns = shapes.columns(shape_of(target.result))
    if output is None or not _movable(value.owner, columns):
        return None
    same = shape_of(output.value) == shape_of(value) == shape_of(target.result)
    return str(output.label.data) if same or columns == 1 else None


def _loss_of(target: ops.TargetOp) -> ops.SquaredErrorOp | None:
    readers = [use.operation for use in target.result.uses]
    found = readers[0] if len(readers) == 1 else None
    return found if isinstance(found, ops.SquaredErrorOp) else None


def _made(loss: ops.SquaredErrorOp) -> tuple[SSAValue, ops.OutputOp | None]:
    """Return the value that a loss is of, before reshapes and identities, and its output, if it has only one.

    None also where something else reads the value.
    """
    outputs: list[ops.OutputOp] = []
    value: SSAValue = loss.value
    reader: Operation = loss
    while True:
        others = [use.operation for use in value.uses if use.operation is not reader]
        outputs += [each for each in others if isinstance(each, ops.OutputOp)]
        if not all(isinstance(each, ops.OutputOp) for each in others):
            return value, None
        if not isinstance(value.owner, ReshapeOp | ops.IdentityOp):
            break
        reader, value = value.owner, value.owner.operand
    return value, outputs[0] if len(outputs) == 1 else None


def _movable(maker: object, columns: int) -> bool:
    """Whether parameters can stretch and shift a value of so many columns as units would."""
    if isinstance(maker, ops.DotOp):
        return _stretches(maker) and _biased(maker.lhs)
    if not isinstance(maker, ops.SumOp) or maker.axes.get_values():
        return False
    products = []
    for term in maker.terms:
        (made, *more) = _sources(term)
        if isinstance(made, ops.DotOp) and not more and _stretches(made):
            products.append(made)
        elif not _is_free(term):
            return False
    shifted = any(_is_free(term) and _of_columns(term, columns) for term in maker.terms)
    return bool(products) and (shifted or any(_biased(each.lhs) for each in products))


def _stretches(product: ops.DotOp) -> bool:
    return _is_free(product.rhs)


def _is_free(value: SSAValue) -> bool:
    """Whether a value is one of parameters alone that no set or loss is about."""
    sources = _sources(value)
    return bool(sources) and all(
        isinstance(each, ops.ParameterOp) and not _required(each) for each in sources
    )


def _sources(value: SSAValue) -> list[ops.NodeOp]:
    """Return the nodes whose entries a value holds, through views and identities."""
    found: list[ops.NodeOp] = []
    for node in feas.sources(value):
        found += _sources(node.operand) if isinstance(node, ops.IdentityOp) else [node]
    return found


def _required(node: ops.NodeOp) -> bool:
    """Whether a set or a loss is about the node's value, through views and identities."""
    return any(
        isinstance(reader, ops.SetOp | ops.LossOp)
        or (isinstance(reader, ops.IdentityOp) and _required(reader))
        for reader, *_ in feas.readers(node)
    )


def _of_columns(value: SSAValue, columns: int) -> bool:
    """Whether a value has an entry of its own for each of so many columns."""
    if columns == 1:
        return True
    maker = value.owner
    if isinstance(maker, BroadcastOp):
        given = shape_of(maker.operand)
        return maker.dims.get_values()[-1:] == (len(shape_of(value)) - 1,) and given[-1:] == (columns,)
    return shape_of(value)[-1:] == (columns,)


def _biased(value: SSAValue) -> bool:
    """Whether a value depends on a sum with a parameter of its own: a constant is among what it can be."""
    pending, seen = feas.sources(value), set[ops.NodeOp]()
    while pending:
        node = pending.pop()
        if node in seen:
            continue
        seen.add(node)
        if isinstance(node, ops.WeightedOp) and any(map(_is_free, node.terms)):
            return True
        pending += [source for operand in node.operands for source in feas.sources(operand)]
    return False
