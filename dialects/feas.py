"""The feas dialect: training as a feasibility problem.

A problem is a graph of *nodes* (data, parameters, constraints, losses), joined by views. An edge runs
from a node to every node that reads its value, through any views between them. A node carries the part
that it is projected in, once a pass has chosen it; a node without a part is evaluated by ``apply`` but
takes no part in training.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    ArrayAttr,
    DenseArrayBase,
    DictionaryAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    f64,
    i64,
)
from xdsl.ir import Attribute, Dialect, Operation, ParametrizedAttribute, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_attr_definition,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
)
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.traits import NoTerminator, Pure, SymbolOpInterface
from xdsl.utils.exceptions import VerifyException

from pjc.dialects import shapes
from pjc.dialects.net import (
    FLOATS,
    InitAttr,
    LossOp,
    verify_levels,
    verify_pieces,
    verify_weights,
    weighting,
)
from pjc.dialects.sets import verify_set
from pjc.dialects.shapes import Shape
from pjc.dialects.signature import Signature
from pjc.dialects.steps import Broadcast, Step, Transpose
from pjc.dialects.view import SIZES, ShapedOp, ViewOp, shape_of, sizes, tensor_like


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


def loop_of(op: Operation) -> LoopAttr | None:
    """Return the loop that a node or a view repeats in, if any."""
    found = op.attributes.get("loop")
    return found if isinstance(found, LoopAttr) else None


def put_in_loop(op: Operation, loop: LoopAttr | None) -> None:
    """Make an op repeat in a loop, or in none."""
    if loop is None:
        op.attributes.pop("loop", None)
    else:
        op.attributes["loop"] = loop


class NodeOp(IRDLOperation, ABC):
    """A node of the problem: it has a label and, once chosen, a part."""

    label = prop_def(StringAttr)
    part = opt_prop_def(StringAttr)

    def operand_path(self, operand: int) -> tuple[Step, ...]:
        """Return the steps from an operand's value to the copies of it that the node holds."""
        return ()

    def fields(self) -> dict[str, Attribute]:
        """Return the static attributes of the node's operator, by the name of its field."""
        return {}


class GivenOp(NodeOp, ABC):
    """A node whose value is given: it is written to its readers and never asks them."""


class ConstraintOp(NodeOp, ShapedOp, ABC):
    """A constraint ``{(x, z) : z = f(x)}`` on the operands and the result."""

    @property
    def operator(self) -> str:
        """The name of the operator in the registry of projections."""
        return self.name.removeprefix("feas.")


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
        known = self.part_names()
        labels: set[str] = set()
        for node in self.nodes():
            if node.part is not None and node.part.data not in known:
                raise VerifyException(
                    f"node '{node.label.data}' is in part '{node.part.data}', "
                    f"but the problem's parts are {list(known)}"
                )
            if isinstance(node, ConstraintOp | LossNode | SetOp | ParameterOp):
                if node.label.data in labels:
                    raise VerifyException(f"two nodes are called '{node.label.data}'")
                labels.add(node.label.data)
            for reader, _, _ in readers(node):
                if node.part is not None and node.part == reader.part:
                    raise VerifyException(
                        f"'{node.label.data}' feeds '{reader.label.data}' and both are in part "
                        f"'{node.part.data}'; a part must hold independent nodes"
                    )


@irdl_op_definition
class DatumOp(GivenOp):
    """``{x : x = its value}``: ``%x = feas.datum "x" : tensor<128x64xf32>``."""

    name = "feas.datum"

    result = result_def(TensorType)

    assembly_format = "$label (`part` $part^)? attr-dict `:` type($result)"

    def __init__(self, label: str, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label)}, result_types=[type])


@irdl_op_definition
class ConstantOp(GivenOp):
    """``{x : x = a number}``: ``%x = feas.constant "zero" 0.0 : tensor<128x64xf32>``."""

    name = "feas.constant"

    value = prop_def(FloatAttr.constr(f64))
    result = result_def(TensorType)

    assembly_format = "$label $value (`part` $part^)? attr-dict `:` type($result)"

    def __init__(self, label: str, value: FloatAttr, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label), "value": value}, result_types=[type])


@irdl_op_definition
class TargetOp(IRDLOperation):
    """What a loss is given: ``%y = feas.target "y" classes 10 : tensor<128xi32>``. Not a variable."""

    name = "feas.target"

    label = prop_def(StringAttr)
    classes = opt_prop_def(IntegerAttr.constr(i64))
    result = result_def(TensorType)

    assembly_format = "$label (`classes` $classes^)? attr-dict `:` type($result)"

    def __init__(self, label: str, classes: IntegerAttr | None, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label), "classes": classes}, result_types=[type])


@irdl_op_definition
class IndexOp(IRDLOperation):
    """Numbers of rows, for gathers: ``%t = feas.index "tokens" : tensor<4x16xi32>``. Not a variable."""

    name = "feas.index"

    label = prop_def(StringAttr)
    result = result_def(TensorType)

    assembly_format = "$label attr-dict `:` type($result)"

    def __init__(self, label: str, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label)}, result_types=[type])


@irdl_op_definition
class ParameterOp(NodeOp):
    """A free variable that training finds: ``%w = feas.parameter "w" <1.0 * zeros> : ...``.

    With ``family 8`` it is eight parameters along the first axis, each initialized by itself; ``members``
    are the names by which they are known outside.
    """

    name = "feas.parameter"

    init = prop_def(InitAttr)
    family = opt_prop_def(IntegerAttr.constr(i64))
    members = opt_prop_def(ArrayAttr[StringAttr])
    result = result_def(TensorType)

    assembly_format = (
        "$label $init (`family` $family^)? (`members` $members^)? (`part` $part^)? attr-dict "
        "`:` type($result)"
    )

    def __init__(
        self,
        label: str,
        init: InitAttr,
        type: Attribute,
        family: IntegerAttr | None = None,
        members: ArrayAttr[StringAttr] | None = None,
    ) -> None:
        super().__init__(
            properties={
                "label": StringAttr(label),
                "init": init,
                "family": family,
                "members": members,
            },
            result_types=[type],
        )

    def names(self) -> list[str]:
        """Return the names by which the parameter is known outside: its own, or those of its members."""
        return [self.label.data] if self.members is None else [name.data for name in self.members]


HALFWAY = ("held", "factored")
"""The forms of copies that go from one iteration's to the next's, in Douglas-Rachford at relaxation 1/2."""


FORMS = ("exact", "held", "shared", "factored")
"""How the copies of a product may be represented."""


class BilinearOp(ConstraintOp, ABC):
    """What dots and convolutions share: each entry of the result holds its own copies of what it multiplies.

    ``copies`` says how a solver represents them: all of them, in every state of an iteration ("exact") or in
    one ("held"); by what they have in common ("shared"); or as rank-one corrections of that ("factored").
    """

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    copies = opt_prop_def(StringAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    @property
    def form(self) -> str:
        """How the copies are represented: "exact" unless a pass has chosen otherwise."""
        return "exact" if self.copies is None else self.copies.data

    def verify_(self) -> None:
        super().verify_()
        if self.form not in FORMS:
            raise VerifyException(f"copies are {', '.join(FORMS)}, found '{self.form}'")


@irdl_op_definition
class DotOp(BilinearOp):
    """``{(a, w, z) : z[.., k, m] = sum_n a[.., k, n] w[.., n, m]}``.

    ``%z = feas.dot "dense.matmul" %a, %w part "B" : ...``. Every (k, m) holds its own copies of
    the vectors ``a[.., k, :]`` and ``w[.., :, m]``, so both operands have copies of shape
    ``[.., K, M, N]``.
    """

    name = "feas.dot"

    assembly_format = (
        "$label $lhs `,` $rhs (`part` $part^)? (`copies` $copies^)? attr-dict "
        "`:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(self, label: str, lhs: SSAValue, rhs: SSAValue) -> None:
        shape = shapes.matmul(shape_of(lhs), shape_of(rhs))
        super().__init__(
            operands=[lhs, rhs],
            properties={"label": StringAttr(label)},
            result_types=[tensor_like(lhs, shape)],
        )

    def copies_shape(self) -> Shape:
        """Return ``[.., K, M, N]``, the shape of the copies of either operand."""
        return (*shape_of(self.result), shape_of(self.lhs)[-1])

    def operand_path(self, operand: int) -> tuple[Step, ...]:
        target = self.copies_shape()
        batch = range(len(target) - 3)
        last = len(target) - 1
        if operand == 0:
            return (Broadcast(target, (*batch, last - 2, last)),)
        swap = (*batch, last - 1, last - 2)
        return (
            Transpose(swap),
            Broadcast(target, (*batch, last - 1, last)),
        )

    def infer(self) -> Shape:
        return shapes.matmul(shape_of(self.lhs), shape_of(self.rhs))


@irdl_op_definition
class ConvolutionOp(BilinearOp):
    """``{(a, w, z) : z[b, p, q, m] = sum_ijn a[b, p s + i d - low, q s' + j d' - low', n] w[i, j, n, m]}``.

    ``%z = feas.convolution "conv" %a, %w strides [1, 1] dilation [1, 1] low [1, 1] high [1, 1] copies
    "shared" : ...``, with a ``[batch, height, width, N]`` and w ``[window height, window width, N, M]``.
    Strides are s and s', dilations d and d'; around a there are zeros. It is a dot over the windows of a in a
    form that never makes them, shared or factored; in the other forms it is that dot.
    """

    name = "feas.convolution"

    strides = prop_def(SIZES)
    dilation = prop_def(SIZES)
    low = prop_def(SIZES)
    high = prop_def(SIZES)

    assembly_format = (
        "$label $lhs `,` $rhs `strides` $strides `dilation` $dilation `low` $low `high` $high "
        "(`part` $part^)? (`copies` $copies^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(
        self,
        label: str,
        lhs: SSAValue,
        rhs: SSAValue,
        *,
        strides: Sequence[int],
        dilation: Sequence[int],
        low: Sequence[int],
        high: Sequence[int],
        copies: str,
    ) -> None:
        numbers = {"strides": strides, "dilation": dilation, "low": low, "high": high}
        shape = shapes.convolution(shape_of(lhs), shape_of(rhs), **numbers)
        super().__init__(
            operands=[lhs, rhs],
            properties={
                "label": StringAttr(label),
                "copies": StringAttr(copies),
                **{name: sizes(each) for name, each in numbers.items()},
            },
            result_types=[tensor_like(lhs, shape)],
        )

    def fields(self) -> dict[str, Attribute]:
        return {"strides": self.strides, "dilation": self.dilation, "low": self.low, "high": self.high}

    def verify_(self) -> None:
        super().verify_()
        if self.form not in ("shared", "factored"):
            raise VerifyException(
                f"a convolution's copies are shared or factored, found '{self.form}'; "
                "its other forms are those of a dot over patches"
            )

    def infer(self) -> Shape:
        return shapes.convolution(
            shape_of(self.lhs),
            shape_of(self.rhs),
            strides=self.strides.get_values(),
            dilation=self.dilation.get_values(),
            low=self.low.get_values(),
            high=self.high.get_values(),
        )


class ReductionOp(ConstraintOp, ABC):
    """What sum, sum_relu and max share: terms of equal shape, reduced together and along axes."""

    terms = var_operand_def(TensorType)
    axes = prop_def(SIZES)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$label $terms `axes` $axes (`part` $part^)? attr-dict `:` type($terms) `->` type($result)"
    )

    def __init__(self, label: str, terms: Sequence[SSAValue], axes: Sequence[int] = ()) -> None:
        shape = shapes.elementwise([shape_of(term) for term in terms], axes)
        super().__init__(
            operands=[list(terms)],
            properties={"label": StringAttr(label), "axes": sizes(axes)},
            result_types=[tensor_like(terms[0], shape)],
        )

    def fields(self) -> dict[str, Attribute]:
        return {"axes": self.axes}

    def infer(self) -> Shape:
        return shapes.elementwise([shape_of(t) for t in self.terms], self.axes.get_values())


class WeightedOp(ReductionOp, ABC):
    """What sum and sum_relu share: a weight for each term, all 1 if none are given, and an offset."""

    weights = opt_prop_def(FLOATS)
    offset = opt_prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "$label $terms `axes` $axes (`weights` $weights^)? (`offset` $offset^)? (`part` $part^)? attr-dict "
        "`:` type($terms) `->` type($result)"
    )

    def __init__(
        self,
        label: str,
        terms: Sequence[SSAValue],
        axes: Sequence[int] = (),
        weights: Sequence[float] = (),
        offset: float = 0.0,
    ) -> None:
        super().__init__(label, terms, axes)
        self.weights, self.offset = weighting(len(terms), weights, offset)

    def each_weight(self) -> list[float]:
        """Return the weight of each term."""
        return [1.0] * len(self.terms) if self.weights is None else list(self.weights.get_values())

    def number(self) -> float:
        """Return the offset."""
        return 0.0 if self.offset is None else float(self.offset.value.data)

    def fields(self) -> dict[str, Attribute]:
        given = {"axes": self.axes, "weights": self.weights, "offset": self.offset}
        return {name: value for name, value in given.items() if value is not None}

    def verify_(self) -> None:
        super().verify_()
        verify_weights(self.weights, len(self.terms))


@irdl_op_definition
class SumOp(WeightedOp):
    """``{(x, z) : z = offset + sum of weight times term}``: ``feas.sum "h.sum" %a, %b axes [] : ...``."""

    name = "feas.sum"


@irdl_op_definition
class SumReluOp(WeightedOp):
    """``{(x, z) : z = max(0, weighted sum of the terms)}``: ``feas.sum_relu "h.relu" %a axes [] : ...``."""

    name = "feas.sum_relu"


@irdl_op_definition
class MaxOp(ReductionOp):
    """``{(x, z) : z = the largest of the terms}``: ``feas.max "h.max" %a axes [1] : ...``."""

    name = "feas.max"


@irdl_op_definition
class MinOp(ReductionOp):
    """``{(x, z) : z = the least of the terms}``: ``feas.min "h.min" %a axes [1] : ...``."""

    name = "feas.min"


@irdl_op_definition
class ProductOp(ConstraintOp):
    """``{(a, b, z) : z = a b}``, entry by entry: ``feas.product "p" %a, %b : ...``."""

    name = "feas.product"

    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$label $lhs `,` $rhs (`part` $part^)? attr-dict `:` type($lhs) `,` type($rhs) `->` type($result)"
    )

    def __init__(self, label: str, lhs: SSAValue, rhs: SSAValue) -> None:
        super().__init__(
            operands=[lhs, rhs], properties={"label": StringAttr(label)}, result_types=[lhs.type]
        )

    def infer(self) -> Shape:
        return shapes.elementwise([shape_of(self.lhs), shape_of(self.rhs)], ())


@irdl_op_definition
class IdentityOp(ConstraintOp):
    """``{(x, z) : z = x}``: ``feas.identity "h.copy" %x : ...``."""

    name = "feas.identity"

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$label $operand (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, label: str, operand: SSAValue) -> None:
        super().__init__(
            operands=[operand],
            properties={"label": StringAttr(label)},
            result_types=[operand.type],
        )

    def infer(self) -> Shape:
        return shape_of(self.operand)


@irdl_op_definition
class QuantizeOp(ConstraintOp):
    """``{(x, z) : z = the level nearest to x}``: ``feas.quantize "q" %x to [-1.0, 1.0] : ...``."""

    name = "feas.quantize"

    operand = operand_def(TensorType)
    levels = prop_def(FLOATS)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$label $operand `to` $levels (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"
    )

    def __init__(self, label: str, operand: SSAValue, levels: Sequence[float]) -> None:
        super().__init__(
            operands=[operand],
            properties={
                "label": StringAttr(label),
                "levels": DenseArrayBase.from_list(f64, list(levels)),
            },
            result_types=[operand.type],
        )

    def fields(self) -> dict[str, Attribute]:
        return {"levels": self.levels}

    def infer(self) -> Shape:
        return shape_of(self.operand)

    def verify_(self) -> None:
        super().verify_()
        verify_levels(self.levels.get_values())


@irdl_op_definition
class RoundOp(ConstraintOp):
    """``{(x, z) : z = the whole number nearest to x}``: ``feas.round "r" %x : ...``."""

    name = "feas.round"

    operand = operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$label $operand (`part` $part^)? attr-dict `:` type($operand) `->` type($result)"

    def __init__(self, label: str, operand: SSAValue) -> None:
        super().__init__(
            operands=[operand], properties={"label": StringAttr(label)}, result_types=[operand.type]
        )

    def infer(self) -> Shape:
        return shape_of(self.operand)


@irdl_op_definition
class PiecewiseOp(ConstraintOp):
    """``{(x, z) : z = slopes[i] x + offsets[i]}`` for x in piece i, which ends at ``edges[i]``.

    ``feas.piecewise "abs" %x edges [0.0] slopes [-1.0, 1.0] offsets [0.0, 0.0] : ...``; with ``margin 0.5``
    only x that keep away from the edges by that much.
    """

    name = "feas.piecewise"

    operand = operand_def(TensorType)
    edges = prop_def(FLOATS)
    slopes = prop_def(FLOATS)
    offsets = prop_def(FLOATS)
    margin = opt_prop_def(FloatAttr.constr(f64))
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$label $operand `edges` $edges `slopes` $slopes `offsets` $offsets (`margin` $margin^)? "
        "(`part` $part^)? attr-dict "
        "`:` type($operand) `->` type($result)"
    )

    def __init__(self, label: str, operand: SSAValue, pieces: dict[str, Attribute]) -> None:
        super().__init__(
            operands=[operand],
            properties={"label": StringAttr(label), **pieces},
            result_types=[operand.type],
        )

    def fields(self) -> dict[str, Attribute]:
        margin = {} if self.margin is None else {"margin": self.margin}
        return {"edges": self.edges, "slopes": self.slopes, "offsets": self.offsets, **margin}

    def infer(self) -> Shape:
        return shape_of(self.operand)

    def verify_(self) -> None:
        super().verify_()
        verify_pieces(self.edges, self.slopes, self.offsets, self.margin)


@irdl_op_definition
class ApplyOp(ConstraintOp):
    """``{(x, z) : z = f(x)}`` for an operator of the user's own, by its name and the shapes of one site.

    ``feas.apply "h" "winner" "[n] -> [n]" %x : tensor<8x3xf32> -> tensor<8x3xf32>``
    """

    name = "feas.apply"

    operator_name = prop_def(StringAttr)
    signature = prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$label $operator_name $signature $inputs (`part` $part^)? attr-dict "
        "`:` type($inputs) `->` type($result)"
    )

    def __init__(self, label: str, operator: str, signature: str, inputs: Sequence[SSAValue]) -> None:
        shape = Signature.parse(signature).result([shape_of(each) for each in inputs])
        super().__init__(
            operands=[list(inputs)],
            properties={
                "label": StringAttr(label),
                "operator_name": StringAttr(operator),
                "signature": StringAttr(signature),
            },
            result_types=[tensor_like(inputs[0], shape)],
        )

    @property
    def operator(self) -> str:
        return self.operator_name.data

    def infer(self) -> Shape:
        return Signature.parse(self.signature.data).result([shape_of(each) for each in self.inputs])


class LossNode(NodeOp, ABC):
    """A training requirement on its first operand, given its second, the target."""

    @property
    def operator(self) -> str:
        """The name of the loss in the registry of projections."""
        return self.name.removeprefix("feas.")


class _StrengthLossOp(LossNode, LossOp, ABC):
    """The prox of a function times a strength."""

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    strength = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "$label $logits `,` $target `strength` $strength (`part` $part^)? attr-dict "
        "`:` type($logits) `,` type($target)"
    )

    def __init__(self, label: str, logits: SSAValue, target: SSAValue, strength: float) -> None:
        super().__init__(
            operands=[logits, target],
            properties={"label": StringAttr(label), "strength": FloatAttr(strength, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"strength": self.strength}


@irdl_op_definition
class CrossEntropyOp(_StrengthLossOp):
    """The prox of ``strength`` times the cross-entropy of the logits ``[*sites, C]``.

    ``feas.cross_entropy "loss" %z, %y strength 1.0 part "A" : ...``
    """

    name = "feas.cross_entropy"


@irdl_op_definition
class HingeOp(_StrengthLossOp):
    """The prox of ``strength`` times the hinge loss of each class of the logits ``[*sites, C]``.

    ``feas.hinge "loss" %z, %y strength 1.0 part "A" : ...``
    """

    name = "feas.hinge"


@irdl_op_definition
class SquaredErrorOp(_StrengthLossOp):
    """The prox of ``strength / 2`` times the squared error.

    ``feas.squared_error "loss" %z, %y strength 1.0 part "A" : ...``
    """

    name = "feas.squared_error"
    NUMERIC: ClassVar[bool] = True


class _BoundsLossOp(LossNode, LossOp, ABC):
    """Logits at least as high as one bound, or at most as high as another."""

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    bounds = prop_def(FLOATS)

    assembly_format = (
        "$label $logits `,` $target `in` $bounds (`part` $part^)? attr-dict "
        "`:` type($logits) `,` type($target)"
    )

    def __init__(self, label: str, logits: SSAValue, target: SSAValue, low: float, high: float) -> None:
        super().__init__(
            operands=[logits, target],
            properties={
                "label": StringAttr(label),
                "bounds": DenseArrayBase.from_list(f64, [low, high]),
            },
        )

    def fields(self) -> dict[str, Attribute]:
        low, high = self.bounds.get_values()
        return {"low": FloatAttr(low, f64), "high": FloatAttr(high, f64)}


@irdl_op_definition
class MarginOp(_BoundsLossOp):
    """``{z : z_right >= high, z_wrong <= low}``: ``feas.margin "loss" %z, %y in [0.0, 1.0] : ...``."""

    name = "feas.margin"


@irdl_op_definition
class MultiLabelOp(_BoundsLossOp):
    """``{z : z >= high where y = 1, z <= low where y = 0}``.

    ``feas.multi_label "loss" %z, %y in [0.0, 1.0] part "A" : ...``
    """

    name = "feas.multi_label"
    NUMERIC: ClassVar[bool] = True


@irdl_op_definition
class ClassMarginOp(LossNode, LossOp):
    """``{z : z_right >= z_wrong + margin}``: ``feas.class_margin "loss" %z, %y by 1.0 : ...``."""

    name = "feas.class_margin"

    logits = operand_def(TensorType)
    target = operand_def(TensorType)
    margin = prop_def(FloatAttr.constr(f64))

    assembly_format = (
        "$label $logits `,` $target `by` $margin (`part` $part^)? attr-dict "
        "`:` type($logits) `,` type($target)"
    )

    def __init__(self, label: str, logits: SSAValue, target: SSAValue, margin: float) -> None:
        super().__init__(
            operands=[logits, target],
            properties={"label": StringAttr(label), "margin": FloatAttr(margin, f64)},
        )

    def fields(self) -> dict[str, Attribute]:
        return {"margin": self.margin}


@irdl_op_definition
class EqualOp(LossNode, LossOp):
    """``{z : z = y}``: ``feas.equal "loss" %z, %y : ...``."""

    name = "feas.equal"
    NUMERIC: ClassVar[bool] = True

    value = operand_def(TensorType)
    target = operand_def(TensorType)

    assembly_format = (
        "$label $value `,` $target (`part` $part^)? attr-dict `:` type($value) `,` type($target)"
    )

    def __init__(self, label: str, value: SSAValue, target: SSAValue) -> None:
        super().__init__(operands=[value, target], properties={"label": StringAttr(label)})


@irdl_op_definition
class SetOp(NodeOp):
    """``{x : x in a set}``: ``feas.set "w.nonneg" %w in "nonneg" {} part "B" : tensor<8x5xf32>``."""

    name = "feas.set"

    value = operand_def(TensorType)
    kind = prop_def(StringAttr)
    described = prop_def(DictionaryAttr)

    assembly_format = "$label $value `in` $kind $described (`part` $part^)? attr-dict `:` type($value)"

    def __init__(self, label: str, value: SSAValue, kind: str, described: Mapping[str, Attribute]) -> None:
        super().__init__(
            operands=[value],
            properties={
                "label": StringAttr(label),
                "kind": StringAttr(kind),
                "described": DictionaryAttr(dict(described)),
            },
        )

    def fields(self) -> dict[str, Attribute]:
        return dict(self.described.data)

    def verify_(self) -> None:
        verify_set(self.kind.data, self.described.data, shape_of(self.value))


@irdl_op_definition
class OutputOp(IRDLOperation):
    """A value that ``apply`` returns: ``feas.output "logits" %z : tensor<128x10xf32>``."""

    name = "feas.output"

    label = prop_def(StringAttr)
    value = operand_def(TensorType)

    assembly_format = "$label $value attr-dict `:` type($value)"

    def __init__(self, label: str, value: SSAValue) -> None:
        super().__init__(operands=[value], properties={"label": StringAttr(label)})


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


FEAS = Dialect(
    "feas",
    [
        ProblemOp,
        DatumOp,
        ConstantOp,
        TargetOp,
        IndexOp,
        ParameterOp,
        DotOp,
        ConvolutionOp,
        SumOp,
        SumReluOp,
        MaxOp,
        MinOp,
        ProductOp,
        IdentityOp,
        PiecewiseOp,
        QuantizeOp,
        RoundOp,
        ApplyOp,
        CrossEntropyOp,
        HingeOp,
        SquaredErrorOp,
        MarginOp,
        MultiLabelOp,
        ClassMarginOp,
        EqualOp,
        SetOp,
        OutputOp,
    ],
    [LoopAttr],
)
