"""What a network is given and gives: inputs, targets, parameters and outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType, i32
from xdsl.ir import Block

from pjc.builder.place import Place
from pjc.builder.values import Names, Target, Tensor
from pjc.dialects import ops, shapes
from pjc.dialects.ops import INITIALIZERS, InitAttr
from pjc.dialects.shapes import ShapeError
from pjc.numerals import decimal

MAX_CLASSES = 2**31 - 1


class Declarations(Place):
    """Declares what is known by its name. Sizes may have names, which are part of the program's signature."""

    def input(
        self, name: str, shape: Sequence[int], names: Names | None = None, integers: bool = False
    ) -> Tensor:
        """Return an input of numbers, or of ``integers``, the numbers of rows of a table."""
        known, labels = self._named(name, shape, names)
        op: ops.InputOp | ops.IndexOp
        if integers:
            op = ops.IndexOp(name, TensorType(i32, shape), labels)
        else:
            op = ops.InputOp(name, TensorType(self.emitter.element, shape), labels)
        ssa = self.emitter.add(op, name, self.span)
        assert ssa is not None
        return Tensor(ssa, known)

    def target(
        self, name: str, shape: Sequence[int], names: Names | None = None, classes: int | None = None
    ) -> Target:
        """Return a target of numbers, or with ``classes`` of class numbers from 0, one for each site."""
        if classes is not None and not 1 <= classes <= MAX_CLASSES:
            raise ShapeError(f"a target has 1 to {MAX_CLASSES} classes, found {classes}")
        known, labels = self._named(name, shape, names)
        kind = TensorType(self.emitter.element if classes is None else i32, shape)
        ssa = self.emitter.add(ops.TargetOp(name, kind, labels, classes), name, self.span)
        assert ssa is not None
        return Target(name, ssa, known, classes)

    def parameter(
        self,
        name: str,
        shape: Sequence[int],
        init: str | InitAttr,
        names: Names | None = None,
        family: int | None = None,
        block: Block | None = None,
    ) -> Tensor:
        """Return a parameter, called ``name`` within the scope.

        ``init`` says how it starts, as the language does: ``"he_normal"``, ``"0.5 * normal(0.1)"``,
        ``"constant(1)"``. In the body of a loop each iteration has one of its own; elsewhere, or in another
        ``block`` above, all share it, unless it is a ``family`` of so many along a new first axis.
        """
        label = self.label(name)
        sizes = shapes.checked([*([] if family is None else [family]), *shape])
        known = _checked_names(shape, names)
        start = initializer(init) if isinstance(init, str) else init
        self.emitter.declare("a parameter", label)
        op = ops.ParameterOp(label, start, TensorType(self.emitter.element, sizes), family)
        ssa = self.emitter.add(op, label, self.span, block)
        assert ssa is not None
        return Tensor(ssa, known)

    def output(self, name: str, value: Tensor) -> None:
        """Let the program return a value under a name."""
        self.emitter.declare("an output", name)
        self.emitter.add(ops.OutputOp(name, value.ssa), name, self.span)

    def _named(self, name: str, shape: Sequence[int], names: Names | None) -> tuple[Names, list[str]]:
        """Declare an input or a target; return the names of its sizes, and what the op calls them."""
        shapes.checked(shape)
        if names is None and shape and shape[0] == self.emitter.batch:
            names = ("batch", *[None] * (len(shape) - 1))
        known = _checked_names(shape, names)
        dims = self.emitter.dims
        given = {each: size for each, size in zip(known, shape, strict=True) if each is not None}
        for each, size in given.items():
            if dims.get(each, size) != size:
                raise ShapeError(f"'{each}' is {dims[each]} elsewhere, and {size} in '{name}'")
        self.emitter.declare("an input or a target", name)
        dims |= given
        return known, [each or str(size) for size, each in zip(shape, known, strict=True)]


def _checked_names(shape: Sequence[int], names: Names | None) -> Names:
    if names is None:
        return (None,) * len(shape)
    if len(names) != len(shape):
        raise ShapeError(
            f"a shape of {len(shape)} axes needs as many names, found {len(names)}", "None is one"
        )
    return tuple(names)


def initializer(written: str) -> InitAttr:
    """Return the initializer that a text such as ``0.5 * uniform(-1, 1)`` means; raises ShapeError."""
    found = re.fullmatch(r"(?:([^*]+)\*)?\s*([a-z_]+)\s*(?:\(([^()]*)\))?\s*", written)
    try:
        if found is None:
            raise ValueError
        numbers = [decimal(each) for each in found[3].split(",")] if found[3] else []
        scale = decimal(found[1]) if found[1] else 1.0
    except ValueError:
        known = ", ".join(INITIALIZERS)
        hint = f"like 'he_normal' or '0.5 * normal(0.1)'; known are {known}"
        raise ShapeError(f"'{written}' is no initializer", hint) from None
    return made_initializer(found[2], numbers, scale)


def made_initializer(kind: str, numbers: Sequence[float] = (), scale: float = 1.0) -> InitAttr:
    """Return an initializer of some numbers; raises ShapeError for what it cannot take."""
    if kind not in INITIALIZERS or len(numbers) != INITIALIZERS[kind]:
        raise ShapeError(
            f"'{kind}' takes {INITIALIZERS[kind]} numbers, found {len(numbers)}"
            if kind in INITIALIZERS
            else f"there is no initializer '{kind}'",
            f"known are {', '.join(INITIALIZERS)}",
        )
    if kind == "normal" and numbers[0] < 0:
        raise ShapeError(f"normal takes a standard deviation, found {numbers[0]}")
    if kind == "uniform" and numbers[0] > numbers[1]:
        raise ShapeError(f"uniform takes low <= high, found {numbers[0]} and {numbers[1]}")
    return InitAttr(kind, numbers, scale)
