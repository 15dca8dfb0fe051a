"""The shapes of one site of an operator: ``[n], [n] -> []``, and how they fit into those of tensors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pjc.dialects.shapes import Shape, ShapeError, show
from pjc.numerals import is_whole

Dimension = int | str

_LIST = r"\[\s*(?:\w+\s*(?:,\s*\w+\s*)*)?\]"
_WHOLE = re.compile(rf"\s*({_LIST}(?:\s*,\s*{_LIST})*)\s*->\s*({_LIST})\s*")


@dataclass(frozen=True)
class Signature:
    """What an operator takes and gives at one site; equal names stand for equal sizes."""

    inputs: tuple[tuple[Dimension, ...], ...]
    output: tuple[Dimension, ...]

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Return the signature of a text such as ``[n], [n] -> [2]``; raise ShapeError for any other."""
        found = _WHOLE.fullmatch(text)
        if found is None:
            raise ShapeError(f"'{text}' is no signature", "write one like '[n], [n] -> []'")
        inputs = tuple(_dimensions(part) for part in re.findall(_LIST, found[1]))
        output = _dimensions(found[2])
        known = {name for shape in inputs for name in shape}
        for name in output:
            if isinstance(name, str) and name not in known:
                raise ShapeError(f"the size '{name}' of the result is none of the inputs' in '{text}'")
        return cls(inputs, output)

    def __str__(self) -> str:
        return ", ".join(map(_shown, self.inputs)) + f" -> {_shown(self.output)}"

    def sites(self, shapes: Sequence[Shape]) -> Shape:
        """Return the axes that count sites, the first ones, which must be the same for all inputs."""
        self._sizes(shapes)
        found = [shape[: len(shape) - len(own)] for shape, own in zip(shapes, self.inputs, strict=True)]
        for each in found[1:]:
            if each != found[0]:
                raise ShapeError(
                    f"inputs must have equal axes in front of {self}, found {show(found[0])} and {show(each)}"
                )
        return found[0]

    def result(self, shapes: Sequence[Shape]) -> Shape:
        """Return the result's shape for inputs of these shapes, or raise ShapeError."""
        sizes = self._sizes(shapes)
        own = tuple(size if isinstance(size, int) else sizes[size] for size in self.output)
        return (*self.sites(shapes), *own)

    def _sizes(self, shapes: Sequence[Shape]) -> dict[str, int]:
        if len(shapes) != len(self.inputs):
            raise ShapeError(f"{self} takes {len(self.inputs)} inputs, found {len(shapes)}")
        sizes: dict[str, int] = {}
        for shape, own in zip(shapes, self.inputs, strict=True):
            if len(shape) < len(own):
                raise ShapeError(f"{self} needs {len(own)} axes at the end, found the shape {show(shape)}")
            for size, name in zip(shape[len(shape) - len(own) :], own, strict=True):
                if size != (name if isinstance(name, int) else sizes.setdefault(name, size)):
                    wanted = name if isinstance(name, int) else f"{name} = {sizes[name]}"
                    raise ShapeError(f"{self} needs {wanted}, found {size} in the shape {show(shape)}")
        return sizes


def _dimensions(text: str) -> tuple[Dimension, ...]:
    words = re.findall(r"\w+", text)
    return tuple(int(word) if is_whole(word) else word for word in words)


def _shown(shape: Sequence[Dimension]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"
