"""Take dots over the windows of an image as convolutions, so that the windows are never made."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import InsertPoint, Rewriter

from pjc.dialects import feas, ops, view
from pjc.dialects.forms import WITHOUT_WINDOWS
from pjc.dialects.view import shape_of
from pjc.passes.analysis.graph import problems
from pjc.passes.analysis.windows import Pair, Windows, as_windows


@dataclass(frozen=True)
class FormConvolutionsPass(ModulePass):
    """Take dots over the windows of an image as convolutions, so that the windows are never made.

    For dots whose copies are shared or factored: what those forms compute is the convolution, its two
    transposes, and convolutions with ones. Dots in a loop stay, and those over windows that do not overlap.
    Rows and columns of an image that no window reads are cut off.

    ```
    %p = view.patches %x [1, 2] [3, 3] [1, 1] : tensor<4x8x8x2xf32> -> tensor<4x6x6x3x3x2xf32>
    %r = view.reshape %p : tensor<4x6x6x3x3x2xf32> -> tensor<144x18xf32>
    %c = view.reshape %w : tensor<3x3x2x5xf32> -> tensor<18x5xf32>
    %z = op.dot "z" %r, %c copies "shared" : tensor<144x18xf32>, tensor<18x5xf32> -> tensor<144x5xf32>
    ```
    becomes
    ```
    %z = op.convolution "z" %x, %w strides [1, 1] dilation [1, 1] low [0, 0] high [0, 0] copies "shared"
        : tensor<4x8x8x2xf32>, tensor<3x3x2x5xf32> -> tensor<4x6x6x5xf32>
    %r = view.reshape %z : tensor<4x6x6x5xf32> -> tensor<144x5xf32>
    ```
    """

    name = "feas-form-convolutions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for problem in problems(op):
            for node in problem.nodes():
                if (
                    isinstance(node, ops.DotOp)
                    and node.form in WITHOUT_WINDOWS
                    and (found := convolution_of(node))
                ):
                    _replace(node, found)
            _erase_unread_views(problem)


def convolution_of(node: ops.DotOp) -> Windows | None:
    """Return the windows that a dot is over, if it can be taken as a convolution.

    The image may reach beyond the last window: then ``high`` is negative.
    """
    found = as_windows(node.lhs)
    if found is None or feas.loop_of(node) is not None or prod(found.shape) <= prod(shape_of(found.image)):
        return None
    sources = feas.sources(found.image)
    between = _steps_between(found.image, node.lhs)
    ways = [
        steps[: len(steps) - between]
        for source in sources
        for reader, operand, steps in feas.readers(source)
        if reader is node and operand == 0
    ]
    if len(ways) > len(sources):  # one node is twice in the image
        return None
    if not all(step.copies_once for steps in ways for step in steps):
        return None  # copies of an entry may be in different numbers of windows: no mean of them all
    found = replace(found, high=_reached(found))
    return found if _all_read(found) else None


def _steps_between(image: SSAValue, rows: SSAValue) -> int:
    """Return how many views make an operand of an image: a pad, the windows and so on."""
    count = 0
    while rows is not image:
        assert isinstance(rows.owner, view.ViewOp)
        rows = rows.owner.operands[0]
        count += 1
    return count


def _reached(found: Windows) -> Pair:
    """Return by how much the last windows reach beyond the image's edges."""
    reach = []
    for axis in range(2):
        last = (found.shape[1 + axis] - 1) * found.strides[axis]
        inside = (found.window[axis] - 1) * found.dilation[axis]
        reach.append(last + inside + 1 - found.low[axis] - shape_of(found.image)[1 + axis])
    return reach[0], reach[1]


def _all_read(found: Windows) -> bool:
    """Whether windows read every row and column, up to the last that they read."""
    for axis in range(2):
        size = shape_of(found.image)[1 + axis] + min(found.high[axis], 0)
        read = {
            place * found.strides[axis] + at * found.dilation[axis] - found.low[axis]
            for place in range(found.shape[1 + axis])
            for at in range(found.window[axis])
        }
        if size < 1 or not read.issuperset(range(size)):
            return False
    return True


def _replace(node: ops.DotOp, found: Windows) -> None:
    """Put the convolution in the place of the dot."""
    added: list[Operation] = []
    new = ops.ConvolutionOp(
        _cut(found, added),
        _kernel(found, node.rhs, added),
        strides=found.strides,
        dilation=found.dilation,
        low=found.low,
        high=[max(each, 0) for each in found.high],
        copies=node.form,
        label=node.called,
    )
    new.part, new.units, new.levels = node.part, node.units, node.levels
    new.result.name_hint = node.result.name_hint
    flat = view.ReshapeOp(new.result, shape_of(node.result))
    added += [new, flat]
    for op in added:
        op.location = node.location
    Rewriter.insert_op(added, InsertPoint.before(node))
    for use in list(node.result.uses):
        reader = use.operation
        if isinstance(reader, view.ReshapeOp) and shape_of(reader.result) == shape_of(new.result):
            reader.result.replace_all_uses_with(new.result)
    node.result.replace_all_uses_with(flat.result)
    node.detach()
    node.erase()


def _cut(found: Windows, added: list[Operation]) -> SSAValue:
    """Return the image without the rows and columns behind those that windows read."""
    if min(found.high) >= 0:
        return found.image
    limits = list(shape_of(found.image))
    for axis in range(2):
        limits[1 + axis] += min(found.high[axis], 0)
    cut = view.SliceOp(found.image, [0] * 4, limits, [1] * 4)
    added.append(cut)
    return cut.result


def _kernel(found: Windows, weight: SSAValue, added: list[Operation]) -> SSAValue:
    """Return the dot's weight as ``[window height, window width, N, M]``."""
    shape = (*found.shape[3:], shape_of(weight)[1])
    if isinstance(weight.owner, view.ReshapeOp) and shape_of(weight.owner.operand) == shape:
        return weight.owner.operand
    kernel = view.ReshapeOp(weight, shape)
    added.append(kernel)
    return kernel.result


def _erase_unread_views(problem: feas.ProblemOp) -> None:
    for op in reversed(list(problem.body.block.ops)):
        if isinstance(op, view.ViewOp) and not any(result.uses for result in op.results):
            op.detach()
            op.erase()
