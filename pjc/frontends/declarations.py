"""Declarations: constants, dimensions, inputs, targets and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute
from xdsl.ir import Block as IrBlock

from pjc.builder.declarations import MAX_CLASSES
from pjc.builder.network import ELEMENTS
from pjc.builder.values import Names, Tensor
from pjc.codes import DEFINES, INITIALIZERS, SIZES
from pjc.diagnostics import Span, code_of, of_kind
from pjc.dialects import shapes, view
from pjc.dialects.loops import AtOp
from pjc.dialects.ops import InitAttr
from pjc.dialects.shapes import ShapeError
from pjc.frontends import ast
from pjc.frontends.expressions import Evaluator
from pjc.frontends.names import nearest
from pjc.frontends.scope import Scope
from pjc.frontends.values import (
    POISON,
    Init,
    InitName,
    Mistake,
    SharedParam,
    describe,
    is_poisoned,
)

DEFAULT_BATCH = 64


class Declarations:
    """What the file declares, and what the command line says of it; ``labels`` are the parameters' places."""

    def __init__(
        self, evaluator: Evaluator, defines: Mapping[str, int | float], dtype: str, has_batch: bool
    ) -> None:
        self.evaluator = evaluator
        self.report = evaluator.report
        self.file = evaluator.file
        self.defines = defines
        self.has_batch = has_batch
        self.element = ELEMENTS[dtype]
        evaluator.emitter.element = self.element
        self.used_defines: set[str] = set()
        self.labels: dict[str, Span] = {}

    # Constants and dimensions

    def _define(self, name: str) -> int | float | None:
        """Return what the command line says of a name."""
        self.used_defines.add(name)
        return self.defines.get(name)

    def const(self, node: ast.Const) -> None:
        """``const NAME = value``: a number, unless the command line gives another."""
        self.file.claim(node.name, declares=True)
        value = self.evaluator.evaluate(node.value, self.file)
        if not isinstance(value, int | float) and not is_poisoned(value):
            wrong = Mistake(f"a const must be a number, found {describe(value)}")
            value = self.evaluator.note(of_kind(SIZES, wrong), node.value, self.file)
        given = self._define(node.name.id)
        self.file.bind(node.name, value if given is None or is_poisoned(value) else given)
        self.file.constants.add(node.name.id)

    def _free_dimension(self, node: ast.Name) -> None:
        """Give a name of a dimension its size from outside."""
        value: int | float | None = self._define(node.id)
        if value is None and node.id == "batch":
            value = DEFAULT_BATCH
        known = sorted(self.file.constants)
        self.file.bind(node, POISON if value is None else value)
        self.file.constants.add(node.id)
        if value is None:
            hint = nearest(node.id, known) or f"give one with -D {node.id}=16 or with a const"
            raise Mistake(f"the dimension '{node.id}' has no size", hint, node.span)

    def _dimension(self, node: ast.Node, scope: Scope, *, free: bool) -> tuple[int, str | None]:
        """Return a size and its name; -1 if it was complained of."""
        name = node.id if isinstance(node, ast.Name) else None
        try:
            if free and isinstance(node, ast.Name) and scope.find(node.id) is None:
                self._free_dimension(node)
            value = self.evaluator.evaluate(node, scope)
            if is_poisoned(value):
                return -1, None
            if not isinstance(value, int) or value < 1:
                found = value if isinstance(value, int | float) else describe(value)
                hint = "// divides integers" if isinstance(node, ast.Chain) else None
                raise Mistake(f"a dimension must be a positive integer, found {found}", hint)
        except Mistake as error:
            self.evaluator.note(error, node, scope)
            return -1, None
        return value, name

    def _shape(self, dims: Sequence[ast.Node], scope: Scope, *, free: bool) -> tuple[list[int], Names] | None:
        """Return the sizes of a declared type and their names; None if one is wrong."""
        pairs = [self._dimension(dim, scope, free=free) for dim in dims]
        if any(size < 0 for size, _ in pairs):
            return None
        if free:
            self.evaluator.emitter.dims |= {name: size for size, name in pairs if name is not None}
        return [size for size, _ in pairs], tuple(name for _, name in pairs)

    def _element(self, node: ast.Type, allowed: Sequence[str], what: str) -> None:
        element = node.element.id
        if element in allowed:
            return
        if element == "class":
            raise Mistake(f"{what} cannot hold classes", "targets can: 'target y: class[...]'",
                          node.element.span)  # fmt: skip
        hint = nearest(element, allowed) or f"{what} takes {' or '.join(allowed)}"
        if element == "int":
            hint = f"{what} takes {' or '.join(allowed)}; an input can hold int"
        if element == "f64":
            hint = "write f32; --dtype f64 turns every f32 into f64"
        raise Mistake(f"unknown element type '{element}'", hint, node.element.span)

    def check_defines(self) -> None:
        """Note the names on the command line that the file does not have."""
        for name in self.defines:
            if name not in self.used_defines and not (name == "batch" and self.has_batch):
                hint = nearest(name, sorted(self.used_defines))
                listed = ", ".join(sorted(self.used_defines)) or "none"
                message = f"-D {name}: the file has no constant or free dimension of this name"
                self.report.add(message, None, hint or f"it has {listed}", DEFINES)

    # Declarations

    def input(self, node: ast.Input) -> None:
        """``input NAME: f32[dims]``, or ``int[dims]`` for numbers of rows."""
        self.declare(node.name, self.file)
        self._element(node.type, ["f32", "int"], "an input")
        found = self._shape(node.type.dims, self.file, free=True)
        if found is None:
            return
        sizes, names = found
        site = self.evaluator.site(node, self.file)
        value = site.input(node.name.id, sizes, names, integers=node.type.element.id == "int")
        self.file.bind(node.name, value)

    def declare(self, name: ast.Name, scope: Scope) -> None:
        """Bind a name to POISON, until its declaration turns out right; raise if it is taken."""
        scope.claim(name, declares=True)
        scope.bind(name, POISON)

    def target(self, node: ast.Target) -> None:
        """``target NAME: class[dims, classes]`` or ``f32[dims]``."""
        self.declare(node.name, self.file)
        self._element(node.type, ["class", "f32"], "a target")
        dims = node.type.dims
        is_class = node.type.element.id == "class"
        if is_class and not dims:
            raise Mistake("class[...] ends with the number of classes", "like class[batch, 10]",
                          node.type.span)  # fmt: skip
        found = self._shape(dims, self.file, free=True)
        if found is None:
            return
        sizes, names = found
        shapes.checked(sizes)
        classes = None
        if is_class:
            classes = sizes[-1]
            sizes, names = sizes[:-1], names[:-1]
            if classes > MAX_CLASSES:
                raise Mistake(f"{classes} classes are too many", span=dims[-1].span)
        site = self.evaluator.site(node, self.file)
        self.file.bind(node.name, site.target(node.name.id, sizes, names, classes))

    def param(self, node: ast.Param, scope: Scope) -> None:
        """``param NAME: f32[dims] = initializer``, of the file or of a call of a block."""
        self.declare(node.name, scope)
        try:
            self._element(node.type, ["f32"], "a parameter")
        except Mistake as error:
            self.evaluator.note(error, node, scope)
        found = self._shape(node.type.dims, scope, free=False)
        init = self._init(node.init, scope)
        if found is None or init is None or node.type.element.id != "f32":
            return
        sizes, names = found
        try:
            shapes.checked(sizes)
        except ShapeError as error:
            raise of_kind(code_of(error), Mistake(str(error), error.hint, node.type.span)) from None
        label = scope.label(node.name.id)
        kind = TensorType(self.element, sizes)
        counts = [self.evaluator.emitter.loops[loop] for loop in self._own_loops(scope)]
        family = prod(counts) if counts else None
        if scope.shared is not None and label in scope.shared:
            same = self._same_param(scope.shared[label], kind, init, family, node, label)
            scope.bind(node.name, self._own_param(same, node, scope))
            return
        if label in self.labels:
            line = self.labels[label].line
            raise Mistake(f"a second parameter '{label}'; the first is in line {line}",
                          "choose another name", node.name.span)  # fmt: skip
        self.labels[label] = node.name.span
        site = self.evaluator.site(node, scope)
        ssa = site.parameter(node.name.id, sizes, init, names, family, scope.home).ssa
        shared = SharedParam(ssa, kind, names, init, scope.called or node.span, family)
        scope.bind(node.name, self._own_param(shared, node, scope))
        if scope.shared is not None:
            scope.shared[label] = shared

    def _own_loops(self, scope: Scope) -> list[IrBlock]:
        """Return the loops that a shared parameter is declared above, but has one of for each iteration."""
        if scope.home is None:
            return []
        return [*scope.own, *list(self.evaluator.emitter.loops)[scope.depth :]]

    def _own_param(self, shared: SharedParam, node: ast.Param, scope: Scope) -> Tensor:
        """Return what an iteration reads of a shared parameter: all of it, or what is its own."""
        loops, site = self._own_loops(scope), self.evaluator.site(node, scope)
        value = Tensor(shared.ssa, shared.names)
        if len(loops) > 1:
            counts = [self.evaluator.emitter.loops[loop] for loop in loops]
            parted = view.ReshapeOp(shared.ssa, (*counts, *shared.type.get_shape()))
            above = self.evaluator.emitter.around(loops[0])
            value = site.op(parted, (*[None] * len(counts), *shared.names), block=above)
        for loop in loops:
            value = site.op(AtOp(value.ssa, 0, 0, 1), shared.names, block=loop)
        return Tensor(value.ssa, shared.names)

    def _same_param(
        self,
        old: SharedParam,
        kind: TensorType[Attribute],
        init: InitAttr,
        family: int | None,
        node: ast.Param,
        label: str,
    ) -> SharedParam:
        """Return the shared parameter; raise if this call needs it otherwise."""
        if (old.type, old.init, old.family) != (kind, init, family):
            now, before = (
                f"{_type_text(type)} = {_init_text(first)}" + (f", {count} of them" if count else "")
                for type, first, count in ((kind, init, family), (old.type, old.init, old.family))
            )
            raise Mistake(
                f"'{label}' is shared, but this call needs it as {now}; "
                f"the call in line {old.span.line} made it {before}",
                "calls of a block that is bound to a name share its parameters",
                node.name.span,
            )
        return old

    def _init(self, node: ast.Node, scope: Scope) -> InitAttr | None:
        value = self.evaluator.evaluate(node, scope)
        if isinstance(value, Init):
            return InitAttr(value.kind, value.arguments, value.scale)
        if not is_poisoned(value):
            hint = None
            if isinstance(value, int | float):
                hint = f"write constant({value})"
            elif isinstance(value, InitName):
                arguments = "low, high" if value.kind == "uniform" else "number"
                hint = f"write {value.kind}({arguments})"
            wrong = Mistake(f"expected an initializer, found {describe(value)}", hint)
            self.evaluator.note(of_kind(INITIALIZERS, wrong), node, scope)
        return None


def _type_text(kind: TensorType[Attribute]) -> str:
    return f"{kind.element_type}{shapes.show(kind.get_shape())}"


def _init_text(init: InitAttr) -> str:
    """Return the initializer as the user writes it."""
    numbers = ", ".join(f"{each:g}" for each in init.arguments.get_values())
    scale = init.scale.value.data
    text = init.kind.data + (f"({numbers})" if numbers else "")
    return text if scale == 1 else f"{scale:g} * {text}"
