"""What a part of a program does with the variables: gather, project, write back; and what it is given."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
    UnitAttr,
    i32,
)
from xdsl.ir import (
    Attribute,
    Region,
    SSAValue,
)
from xdsl.irdl import (
    AttrSizedOperandSegments,
    AttrSizedResultSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import NoTerminator, Pure
from xdsl.utils.exceptions import VerifyException

from pjc.dialects.layout import ShardingAttr
from pjc.dialects.set_fields import verify_set
from pjc.dialects.variables import PATHS, PathAttr, VariableOp, declared, verify_path
from pjc.dialects.view import SIZES, shape_of, sizes


class NodeWork(IRDLOperation, ABC):
    """What is computed for a node: by which operator, with which static attributes, and for which node."""

    operator = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)


def work(operator: str, fields: dict[str, Attribute], node: str) -> dict[str, Attribute]:
    """Return the properties of a :class:`NodeWork`."""
    return {
        "operator": StringAttr(operator),
        "fields": DictionaryAttr(fields),
        "node": StringAttr(node),
    }


@irdl_op_definition
class DatumOp(IRDLOperation):
    """The value of an input or target: ``%x = proj.datum "x" : tensor<128x64xf32>``."""

    name = "proj.datum"

    label = prop_def(StringAttr)
    sharding = opt_prop_def(ShardingAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$label (`sharded` $sharding^)? attr-dict `:` type($result)"

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.result.type

    def __init__(self, label: str, type: Attribute) -> None:
        super().__init__(properties={"label": StringAttr(label)}, result_types=[type])


@irdl_op_definition
class ForwardOp(IRDLOperation):
    """The forward pass, which makes all copies agree: ``proj.forward { ... }``."""

    name = "proj.forward"

    body = region_def("single_block")

    traits = traits_def(NoTerminator())

    assembly_format = "attr-dict-with-keyword $body"

    def __init__(self, body: Region) -> None:
        super().__init__(regions=[body])


@irdl_op_definition
class EvaluateOp(NodeWork):
    """The value of an operation in the forward pass: ``%z = proj.evaluate "dot" {} %x, %w of "z" : ...``.

    For an operator of the user's own with the shapes of one site: ``at "[n] -> [n]"``.
    """

    name = "proj.evaluate"

    signature = opt_prop_def(StringAttr)
    inputs = var_operand_def(TensorType)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $inputs (`at` $signature^)? `of` $node attr-dict "
        "`:` type($inputs) `->` type($result)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        inputs: Sequence[SSAValue],
        type: Attribute,
        signature: StringAttr | None = None,
    ) -> None:
        super().__init__(
            operands=[list(inputs)],
            properties={
                **work(operator, fields, node),
                "signature": signature,
            },
            result_types=[type],
        )


@irdl_op_definition
class ReadOp(IRDLOperation):
    """A variable's value before the part: ``%c = proj.read @dense.lhs : tensor<4x3x5xf32>``.

    With ``of given`` its value in the second state that the projection is given.
    """

    name = "proj.read"

    variable = prop_def(SymbolNameConstraint())
    given = opt_prop_def(UnitAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$variable (`of` `given` $given^)? attr-dict `:` type($result)"

    def __init__(self, variable: str, type: Attribute, *, given: bool = False) -> None:
        super().__init__(
            properties={"variable": StringAttr(variable), "given": UnitAttr() if given else None},
            result_types=[type],
        )

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if the variable is not declared with this type."""
        known = declared(self.variable.data, variables)
        if known.type != self.result.type:
            raise VerifyException(
                f"'@{self.variable.data}' has type {known.type}, read as {self.result.type}"
            )


@irdl_op_definition
class GatherOp(IRDLOperation):
    """What the readers of a node agree on for its value, entry by entry.

    The mean, over the nodes that read an entry, of each node's mean over its own copies of it; an entry
    that nobody reads keeps its forward value.
    ``%z = proj.gather "h" from [#proj.path<@out.lhs via ...>] : tensor<4x3xf32>``
    """

    name = "proj.gather"

    node = prop_def(StringAttr)
    paths = prop_def(PATHS)
    sharding = opt_prop_def(ShardingAttr)
    result = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = "$node `from` $paths (`sharded` $sharding^)? attr-dict `:` type($result)"

    def sharded_type(self) -> Attribute:
        """Return the type of the tensor that the sharding is of."""
        return self.result.type

    def __init__(self, node: str, paths: Sequence[PathAttr], type: Attribute) -> None:
        super().__init__(
            properties={"node": StringAttr(node), "paths": ArrayAttr(list(paths))},
            result_types=[type],
        )

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if a path does not lead from the result's shape to its variable's."""
        for path in self.paths:
            verify_path(path, shape_of(self.result), variables)


@irdl_op_definition
class ProjectOp(NodeWork):
    """The projection of copies and a value onto a constraint.

    ``%new:2, %f = proj.project "dot" {} (%a, %w) to %z of "dense" : ...``: results are the new copies
    and the new value.
    """

    name = "proj.project"

    copies = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_copies = var_result_def(TensorType)
    new_value = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $copies `)` `to` $value `of` $node attr-dict "
        "`:` type($copies) `to` type($value) `->` type($new_copies) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        copies: Sequence[SSAValue],
        value: SSAValue,
    ) -> None:
        super().__init__(
            operands=[list(copies), value],
            properties={
                **work(operator, fields, node),
            },
            result_types=[[copy.type for copy in copies], value.type],
        )

    def verify_(self) -> None:
        _verify_same_types(self, self.copies, self.new_copies)
        _verify_same_types(self, [self.value], [self.new_value])


class CompressedOp(NodeWork, ABC):
    """What the compressed projections share: operator, node, and the operands whose means are asked for."""

    def verify_(self) -> None:
        wanted = self.wanted.get_values()  # type: ignore[attr-defined]
        if list(wanted) != sorted(set(wanted)) or not all(0 <= index < 2 for index in wanted):
            raise VerifyException(f"wanted operands are 0 and 1 in order, found {list(wanted)}")
        if len(self.new_means) != len(wanted):  # type: ignore[attr-defined]
            raise VerifyException(f"{len(wanted)} means are wanted, but there are other results")


@irdl_op_definition
class ProjectSharedOp(CompressedOp):
    """The projection of a dot or a convolution whose copies of an input are equal before it, and never made.

    ``%a, %w, %f = proj.project_shared "dot" {} (%x, %y) to %z of "dense" wanted [0, 1] : ...``: results are
    the means of the new copies, for the wanted operands, and the new value.
    """

    name = "proj.project_shared"

    wanted = prop_def(SIZES)
    inputs = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_means = var_result_def(TensorType)
    new_value = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $inputs `)` `to` $value `of` $node `wanted` $wanted attr-dict "
        "`:` type($inputs) `to` type($value) `->` type($new_means) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        inputs: Sequence[SSAValue],
        value: SSAValue,
        wanted: Sequence[int],
    ) -> None:
        super().__init__(
            operands=[list(inputs), value],
            properties={
                **work(operator, fields, node),
                "wanted": sizes(wanted),
            },
            result_types=[[inputs[index].type for index in wanted], value.type],
        )


@irdl_op_definition
class ProjectHalfwayOp(CompressedOp):
    """The projection of a dot or a convolution in Douglas-Rachford at relaxation 1/2.

    It goes from this iteration's copies to the next's:
    ``%a, %w, .., %f = proj.project_halfway "dot" {} "factored" (%x, %y) factors ["c", ..] (%c, ..) to %z of
    "dense" wanted [0, 1] : ...``: ``form`` says what the factors are, all copies ("held") or rank-one
    corrections ("factored"); ``inputs`` are what the nodes that it reads have just written; the
    results are the means of the next iteration's copies of the wanted operands, the next factors, and the new
    value. A part's projection has instead what these means are beyond what was agreed on (:class:`WriteOp`).
    """

    name = "proj.project_halfway"

    form = prop_def(StringAttr)
    wanted = prop_def(SIZES)
    held = prop_def(ArrayAttr[StringAttr])
    inputs = var_operand_def(TensorType)
    factors = var_operand_def(TensorType)
    value = operand_def(TensorType)
    new_means = var_result_def(TensorType)
    new_factors = var_result_def(TensorType)
    new_value = result_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True), AttrSizedResultSegments(as_property=True))

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields $form `(` $inputs `)` `factors` $held `(` $factors `)` "
        "`to` $value `of` $node `wanted` $wanted attr-dict "
        "`:` type($inputs) `factors` type($factors) "
        "`to` type($value) `->` type($new_means) `factors` type($new_factors) `to` type($new_value)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        form: str,
        node: str,
        inputs: Sequence[SSAValue],
        factors: dict[str, SSAValue],
        value: SSAValue,
        wanted: Sequence[int],
    ) -> None:
        super().__init__(
            operands=[list(inputs), list(factors.values()), value],
            properties={
                **work(operator, fields, node),
                "form": StringAttr(form),
                "wanted": sizes(wanted),
                "held": ArrayAttr([StringAttr(name) for name in factors]),
            },
            result_types=[
                [inputs[index].type for index in wanted],
                [each.type for each in factors.values()],
                value.type,
            ],
        )


@irdl_op_definition
class ProjectLossOp(NodeWork):
    """The projection or prox of a loss: ``%n = proj.project_loss "margin" {..} (%c) given %y of "loss"``."""

    name = "proj.project_loss"

    copies = var_operand_def(TensorType)
    target = operand_def(TensorType)
    new_copies = var_result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$operator $fields `(` $copies `)` `given` $target `of` $node attr-dict "
        "`:` type($copies) `given` type($target) `->` type($new_copies)"
    )

    def __init__(
        self,
        operator: str,
        fields: dict[str, Attribute],
        node: str,
        copies: Sequence[SSAValue],
        target: SSAValue,
    ) -> None:
        super().__init__(
            operands=[list(copies), target],
            properties={
                **work(operator, fields, node),
            },
            result_types=[[copy.type for copy in copies]],
        )

    def verify_(self) -> None:
        _verify_same_types(self, self.copies, self.new_copies)


@irdl_op_definition
class ProjectSetOp(IRDLOperation):
    """The projection onto a set: ``%n = proj.project_set "nonneg" {} (%c) of "w.nonneg" : ...``."""

    name = "proj.project_set"

    kind = prop_def(StringAttr)
    node = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    copies = operand_def(TensorType)
    new_copies = result_def(TensorType)

    traits = traits_def(Pure())

    assembly_format = (
        "$kind $fields `(` $copies `)` `of` $node attr-dict `:` type($copies) `->` type($new_copies)"
    )

    def __init__(self, kind: str, fields: dict[str, Attribute], node: str, copies: SSAValue) -> None:
        super().__init__(
            operands=[copies],
            properties={
                "kind": StringAttr(kind),
                "fields": DictionaryAttr(fields),
                "node": StringAttr(node),
            },
            result_types=[copies.type],
        )

    def verify_(self) -> None:
        _verify_same_types(self, [self.copies], [self.new_copies])
        verify_set(self.kind.data, self.fields.data, shape_of(self.copies))


@irdl_op_definition
class ConstrainOp(IRDLOperation):
    """A set that slots are projected onto before they are handed back.

    ``proj.constrain "nonneg" {} [#proj.path<@w.slot>] of "w.nonneg"``; a path's steps lead from a slot to the
    value that is required to be in the set. Of a value that is put together of several each has its path.
    """

    name = "proj.constrain"

    kind = prop_def(StringAttr)
    fields = prop_def(DictionaryAttr)
    paths = prop_def(PATHS)
    node = prop_def(StringAttr)

    assembly_format = "$kind $fields $paths `of` $node attr-dict"

    def __init__(self, kind: str, fields: dict[str, Attribute], paths: Sequence[PathAttr], node: str) -> None:
        super().__init__(
            properties={
                "kind": StringAttr(kind),
                "fields": DictionaryAttr(fields),
                "paths": ArrayAttr(list(paths)),
                "node": StringAttr(node),
            }
        )

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise unless the paths start at slots and end at one value, of which there is such a set."""
        shapes = set()
        for path in self.paths:
            found = variables.get(path.variable.data)
            if found is None or found.role.data != "slot":
                raise VerifyException(f"'@{path.variable.data}' is no slot")
            shapes.add(path.result_shape(shape_of(found.type)))
        if len(shapes) != 1:
            raise VerifyException(f"its paths should end at one shape, and end at {len(shapes)}")
        verify_set(self.kind.data, self.fields.data, shapes.pop())


@irdl_op_definition
class WriteOp(IRDLOperation):
    """Write a value into every variable that holds copies of it.

    ``proj.write %f to [#proj.path<@out.lhs via ...>] : tensor<4x3xf32>``. Entries of the variables that
    the paths do not reach keep what they hold.

    ``proj.write %f beyond %a : tensor<3xf32> to ..`` adds ``%f - %a`` to what whole variables hold. A halfway
    form gives the f of the iteration's result ``x + P y - a`` with ``y = 2 a - x``, where a is what the other
    part agreed on; its own projection P y is then ``y + f - a``.
    """

    name = "proj.write"

    value = operand_def(TensorType)
    agreed = opt_operand_def(TensorType)
    paths = prop_def(PATHS)

    assembly_format = "$value (`beyond` $agreed^ `:` type($agreed))? `to` $paths attr-dict `:` type($value)"

    def __init__(self, value: SSAValue, paths: Sequence[PathAttr], agreed: SSAValue | None = None) -> None:
        super().__init__(operands=[value, agreed], properties={"paths": ArrayAttr(list(paths))})

    def verify_variables(self, variables: dict[str, VariableOp]) -> None:
        """Raise if a path does not lead from the value's shape to its variable's."""
        for path in self.paths:
            verify_path(path, shape_of(self.value), variables)
            if self.agreed is not None and path.steps:
                raise VerifyException(f"what goes beyond another goes to all of '@{path.variable.data}'")

    def verify_(self) -> None:
        if self.agreed is not None and self.agreed.type != self.value.type:
            raise VerifyException(f"a value of {self.value.type} is not beyond one of {self.agreed.type}")


def verify_indices(paths: ArrayAttr[PathAttr], data: dict[str, DatumOp]) -> None:
    """Raise if a gather of a path reads its indices from what is no such datum."""
    for step in (step for path in paths for step in path.steps):
        label = step.data.datum()
        if label is None:
            continue
        datum = data.get(label)
        if datum is None or datum.result.type != TensorType(i32, step.data.lists()[0]):
            found = "there is none" if datum is None else f"it has type {datum.result.type}"
            raise VerifyException(f"step '{step}' needs a datum of that name and shape in i32, but {found}")


def _verify_same_types(op: IRDLOperation, old: Sequence[SSAValue], new: Sequence[SSAValue]) -> None:
    if [value.type for value in old] != [value.type for value in new]:
        raise VerifyException(f"'{op.name}' must keep the types of what it projects")
