"""Evaluates expressions: constants to numbers, calls and operators on tensors to ops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pjc.builder.declarations import made_initializer
from pjc.builder.emitter import Emitter
from pjc.builder.network import Site
from pjc.builder.values import LoopIndex, Target, Tensor
from pjc.builder.views import Item
from pjc.codes import INDICES, TOO_DEEP, VALUES
from pjc.diagnostics import Span, code_of, of_kind
from pjc.dialects.shapes import ShapeError, show
from pjc.frontends import arithmetic, ast
from pjc.frontends.binding import bind
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.convert import number
from pjc.frontends.indexing import index_tuple
from pjc.frontends.names import advice, nearest
from pjc.frontends.report import Report
from pjc.frontends.scope import Scope, unknown
from pjc.frontends.values import (
    POISON,
    Block,
    Function,
    Given,
    Init,
    InitName,
    Instance,
    Library,
    LossName,
    Mistake,
    Poison,
    Slot,
    Value,
    describe,
    finite,
    is_poisoned,
    joined,
    tensors_in,
    written,
)

MAX_DEPTH = 80
MAX_STEPS = 200_000

CallBlock = Callable[[Block | Instance, Sequence[Given], Span, Scope], Value]


class Evaluator:
    """Evaluates expressions in a scope. A mistake is noted and its value is POISON."""

    def __init__(self, tree: ast.File, report: Report, call_block: CallBlock) -> None:
        self.report = report
        self.emitter = Emitter()
        self.file = Scope()
        self.homes = {tree.span.file: (tree, self.file)}
        """The tree and the scope of each file: of the one that is compiled, and of libraries."""
        self.call_block = call_block
        self.depth = 0
        self.steps = 0

    def site(self, node: ast.Node, scope: Scope) -> Site:
        return Site(self.emitter, scope.path, node.span)

    def note(self, error: Mistake | ShapeError, node: ast.Node, scope: Scope) -> Poison:
        """Note a mistake in a node, and where its block was called if that can matter."""
        span = getattr(error, "span", None) or node.span
        hint = error.hint
        if scope.trace and not isinstance(node, ast.Name):
            hint = f"{hint}; {scope.trace}" if hint else scope.trace
        self.report.add(str(error), span, hint, code_of(error))
        return POISON

    def evaluate(self, node: ast.Node, scope: Scope) -> Value:
        """Return the value of an expression; POISON if it has none."""
        self.steps += 1
        self.depth += 1
        if self.steps > MAX_STEPS:
            self.report.give_up("the file takes too long to evaluate", node.span,
                                "do blocks call blocks many times over?", TOO_DEEP)  # fmt: skip
        if self.depth > MAX_DEPTH:
            self.report.give_up("blocks and expressions are nested too deep here", node.span, None, TOO_DEEP)
        try:
            return self._value(node, scope)
        except (Mistake, ShapeError) as error:
            return self.note(error, node, scope)
        finally:
            self.depth -= 1

    def _value(self, node: ast.Node, scope: Scope) -> Value:
        match node:
            case ast.Number(value=constant):
                return constant
            case ast.Name(id=name):
                return self._name(node, name, scope)
            case ast.Tuple() if (literal := _literal(node)) is not None:
                return written(literal)
            case ast.Tuple(items=items):
                return joined([self._item(item, scope) for item in items])
            case ast.Negate(operand=operand):
                value = self.evaluate(operand, scope)
                if isinstance(value, Tensor):
                    return self.site(node, scope).weighted([value], [-1.0])
                return POISON if is_poisoned(value) else arithmetic.negative(value)
            case ast.Chain():
                return self._chain(node, scope)
            case ast.Call():
                return self._call(node, scope)
            case ast.Index():
                return self._index(node, scope)
            case ast.Attribute():
                return self._attribute(node, scope)
        raise Mistake("this is no expression")

    def _name(self, node: ast.Node, name: str, scope: Scope) -> Value:
        found = scope.find(name)
        if found is None:
            tree, file = self.homes[node.span.file]
            below = [each for each in tree.statements if each.span > node.span]
            raise unknown(name, scope, file, below)
        return found

    def _item(self, node: ast.Node, scope: Scope) -> Value:
        value = self.evaluate(node, scope)
        if isinstance(value, Block | Instance | Library | Function | LossName):
            wrong = Mistake(f"{describe(value)} is no value of its own", "call it")
            return self.note(of_kind(VALUES, wrong), node, scope)
        return value

    # Operators

    def _chain(self, node: ast.Chain, scope: Scope) -> Value:
        values = [self.evaluate(operand, scope) for operand in node.operands]
        if any(map(is_poisoned, values)):
            return POISON
        tensors = [value for value in values if isinstance(value, Tensor)]
        if tensors and node.operators[0] in "+-":
            return self._sum(node, values, scope)
        result, first = values[0], node.operands[0].span
        for operator, value, operand in zip(node.operators, values[1:], node.operands[1:], strict=True):
            last = operand.span
            span = Span(first.file, first.line, first.column, last.end_line, last.end_column)
            result = self._binary(operator, result, value, Site(self.emitter, scope.path, span))
        return result

    def _sum(self, node: ast.Chain, values: Sequence[Value], scope: Scope) -> Value:
        """Return a chain of ``+`` and ``-`` on tensors and numbers, as one weighted sum."""
        terms, weights, offset = [], [], 0.0
        for sign, value, operand in zip(["+", *node.operators], values, node.operands, strict=True):
            factor = 1.0 if sign == "+" else -1.0
            if isinstance(value, Tensor):
                terms.append(value)
                weights.append(factor)
            elif isinstance(value, int | float):
                offset += factor * value
            else:
                raise Mistake(f"'{sign}' takes tensors and numbers here, found {describe(value)}",
                              span=operand.span)  # fmt: skip
        return self._named(terms, lambda: self.site(node, scope).weighted(terms, weights, finite(offset)))

    def _binary(self, operator: str, left: Value, right: Value, site: Site) -> Value:
        if not isinstance(left, Tensor) and not isinstance(right, Tensor):
            try:
                return arithmetic.apply(operator, left, right)
            except (Mistake, ShapeError) as error:
                raise of_kind(code_of(error), Mistake(str(error), error.hint, site.span)) from None
        if operator != "@":
            return self._scaled(operator, left, right, site)
        if not isinstance(left, Tensor) or not isinstance(right, Tensor):
            wrong = right if isinstance(left, Tensor) else left
            raise Mistake(f"'@' takes tensors, found {describe(wrong)}", span=site.span)
        return self._named([left, right], lambda: site.matmul(left, right))

    def _scaled(self, operator: str, left: Value, right: Value, site: Site) -> Value:
        """Return a product of tensors, entry by entry, or of a tensor and a number; or a quotient by one."""
        if operator == "*" and isinstance(left, Tensor) and isinstance(right, Tensor):
            one, other = left, right
            return self._named([one, other], lambda: site.product(one, other))
        tensor, number = (left, right) if isinstance(left, Tensor) else (right, left)
        fits = operator == "*" or (operator == "/" and tensor is left)
        if not fits or not isinstance(tensor, Tensor) or not isinstance(number, int | float):
            hint = "'*' takes tensors and numbers, '/' divides a tensor by a number"
            raise Mistake(f"'{operator}' cannot take {describe(left)} and {describe(right)}", hint, site.span)
        if operator == "/" and not number:
            raise Mistake("division by zero", span=site.span)
        return site.weighted([tensor], [finite(float(number) if operator == "*" else 1 / number)])

    def _named(self, tensors: Sequence[Tensor], build: Callable[[], Value]) -> Value:
        """Build; a shape that a complaint mentions is shown with the names of its dimensions."""
        try:
            return build()
        except ShapeError as error:
            message = str(error)
            for tensor in tensors:
                plain = show(tensor.shape)
                at = message.find(plain)
                if tensor.rank and at >= 0 and not message[at - 1 : at].isalnum():
                    message = message[:at] + str(tensor) + message[at + len(plain) :]
            raise of_kind(code_of(error), Mistake(message, error.hint)) from None

    # Calls

    def given(self, node: ast.Call, scope: Scope) -> list[Given]:
        """Evaluate the arguments of a call."""
        return [Given(each.name, self._item(each.value, scope), each.span) for each in node.arguments]

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        function = self.evaluate(node.function, scope)
        given = self.given(node, scope)
        match function:
            case Poison():
                return POISON
            case Function():
                return self.call_function(function, node, given, self.site(node, scope))
            case Block() | Instance():
                return self.call_block(function, given, node.span, scope)
            case InitName(kind=kind):
                return self._initializer(kind, given, node)
            case Init(kind=kind):
                raise Mistake(f"'{kind}' takes no arguments", f"write {kind} without parentheses")
            case LossName(name=name):
                hint = f"write 'require {name}(...)' as a statement"
                raise Mistake(f"'{name}' is a loss and has no value", hint)
        raise Mistake(f"{describe(function)} cannot be called", span=node.function.span)

    def call_function(self, function: Function, node: ast.Call, given: Sequence[Given], site: Site) -> Value:
        """Call a builtin function, a loss or a set; ``site`` is where it builds."""
        found = bind(function.name, function.slots, given, node.span, self.report)
        if found is None or any(is_poisoned(each.value) for each in given):
            return POISON
        tensors = [tensor for each in given for tensor in tensors_in(each.value)]
        result: Value = self._named(tensors, lambda: function(site, found))
        return result

    def _initializer(self, kind: str, given: Sequence[Given], node: ast.Call) -> Value:
        names = {"constant": ("value",), "normal": ("std",), "uniform": ("low", "high")}[kind]
        found = bind(kind, [Slot(name) for name in names], given, node.span, self.report)
        if found is None or any(is_poisoned(each.value) for each in given):
            return POISON
        numbers = tuple(float(finite(number(found[name][0]))) for name in names)
        made_initializer(kind, numbers)
        return Init(kind, numbers)

    # Indices and attributes

    def _index(self, node: ast.Index, scope: Scope) -> Value:
        base = self.evaluate(node.base, scope)
        items = [self._index_item(item, scope) for item in node.items]
        if is_poisoned(base) or any(isinstance(item, Poison) for item in items):
            return POISON
        fine = [item for item in items if not isinstance(item, Poison)]
        if isinstance(base, tuple):
            return index_tuple(base, fine)
        if isinstance(base, Tensor):
            return self.site(node, scope).index(base, *fine)
        raise Mistake(f"{describe(base)} cannot be indexed", span=node.base.span)

    def _index_item(self, node: ast.Node, scope: Scope) -> Item | Poison:
        if isinstance(node, ast.Ellipsis):
            return ...
        if isinstance(node, ast.Slice):
            ends = [
                None if end is None else self._whole(end, scope) for end in (node.start, node.stop, node.step)
            ]
            start, stop, step = ends
            if isinstance(start, Poison) or isinstance(stop, Poison) or isinstance(step, Poison):
                return POISON
            if isinstance(start, LoopIndex) or isinstance(stop, LoopIndex) or isinstance(step, LoopIndex):
                wrong = Mistake("the ends of a slice cannot follow a loop", "write x[t] or x[t + 1]")
                return self.note(of_kind(INDICES, wrong), node, scope)
            return slice(start, stop, step)
        return self._whole(node, scope)

    def _whole(self, node: ast.Node, scope: Scope) -> int | LoopIndex | Poison:
        value = self.evaluate(node, scope)
        if is_poisoned(value):
            return POISON
        if isinstance(value, int | LoopIndex):
            return value
        wrong = Mistake(f"an index must be an integer, found {describe(value)}")
        return self.note(of_kind(INDICES, wrong), node, scope)

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        base = self.evaluate(node.base, scope)
        if is_poisoned(base):
            return POISON
        if isinstance(base, Library):
            return self._library_value(base, node.name)
        if not isinstance(base, Tensor | Target):
            raise Mistake(f"{describe(base)} has no attributes", span=node.name.span)
        if node.name.id != "shape":
            hint = _as_function(node.name.id, scope) or "a tensor has one attribute, 'shape'"
            raise Mistake(f"unknown attribute '{node.name.id}'", hint, node.name.span)
        return tuple(base.ssa.type.get_shape())  # type: ignore[attr-defined]

    def _library_value(self, library: Library, name: ast.Name) -> Value:
        if name.id not in library.values:
            listed = ", ".join(library.values) or "nothing"
            hint = advice(name.id, library.values) or f"it has {listed}"
            raise Mistake(f"the library '{library.name}' has no '{name.id}'", hint, name.span)
        return library.values[name.id]


def _as_function(attribute: str, scope: Scope) -> str | None:
    """Return what to write instead of an attribute or a method of a tensor, as Python has them."""
    if attribute in FUNCTIONS:
        return f"{attribute} is a function: {attribute}(x, ..)"
    if attribute in ("T", "mT"):
        return "write transpose(x, permutation)"
    return nearest(attribute, ["shape"]) or advice(attribute, FUNCTIONS)


def _literal(node: ast.Tuple) -> tuple[Value, ...] | None:
    """Return the value of a tuple that holds numbers and such tuples alone; None for any other."""
    found: list[Value] = []
    for item in node.items:
        inner = _literal(item) if isinstance(item, ast.Tuple) else None
        if isinstance(item, ast.Number):
            found.append(item.value)
        elif inner is not None:
            found.append(inner)
        else:
            return None
    return tuple(found)
