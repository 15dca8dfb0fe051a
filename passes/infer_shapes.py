"""Fill in unknown sizes."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import DYNAMIC_INDEX, ModuleOp
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.utils.exceptions import PassFailedException

from pjc.diagnostics import code_of, of_kind
from pjc.dialects.shapes import ShapeError
from pjc.dialects.view import ShapedOp, shape_of, tensor_like, unknown


@dataclass(frozen=True)
class InferShapesPass(ModulePass):
    """Fill in unknown sizes.

    Sizes written as ``?`` follow from those of the operands. The pass fails where an operation's operands
    do not fit it, or a size stays unknown.

    ```
    %z = op.dot %x, %w : tensor<8x64xf32>, tensor<64x10xf32> -> tensor<?x?xf32>
    ```
    becomes
    ```
    %z = op.dot %x, %w : tensor<8x64xf32>, tensor<64x10xf32> -> tensor<8x10xf32>
    ```
    """

    name = "net-infer-shapes"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for each in op.walk():
            if isinstance(each, ShapedOp):
                _infer(each)


def _infer(op: ShapedOp) -> None:
    result = op.results[0]
    found = shape_of(result)
    if not unknown(found):
        return
    try:
        shape = op.infer()
    except ShapeError as error:
        raise of_kind(code_of(error), PassFailedException(f"'{op.name}': {error}")) from error
    if len(shape) != len(found) or any(
        a not in (DYNAMIC_INDEX, b) for a, b in zip(found, shape, strict=True)
    ):
        raise PassFailedException(
            f"'{op.name}' gives a tensor of shape {list(shape)}, its result type says {result.type}"
        )
    Rewriter.replace_value_with_new_type(result, tensor_like(op.operands[0], shape))
