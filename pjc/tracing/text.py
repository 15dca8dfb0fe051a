"""The text that a traced function becomes: names, statements, numbers and sizes in pjc's language."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pjc.frontends.reserved import free_name
from pjc.frontends.reserved import tuple_text as tuple_text
from pjc.tracing.refusal import Refused
from pjc.tracing.values import Constant, Shape, Tensor

MAX_ARRAY = 2**16
"""The most numbers that a constant tensor has."""


def number(value: Any) -> str:
    """Return a number as the language writes it, by the fewest digits that name what float32 holds."""
    wide = float(value)
    if not np.isfinite(wide):
        raise Refused(f"it computes with {wide:g}, which is not finite")
    with np.errstate(over="ignore"):
        held = np.float32(wide)
    text = str(held) if float(held) == wide else repr(wide)
    return text.removesuffix(".0")


def factor(value: Any) -> str:
    """Return a number as a factor: in brackets where it is negative."""
    text = number(value)
    return f"({text})" if text.startswith("-") else text


def size_text(size: Any) -> str:
    """Return a size as the language writes it."""
    text = str(size)
    if not re.fullmatch(r"[A-Za-z0-9_*+\- ]+", text):
        raise Refused(f"it makes an axis of the size {text}", "give that dimension a number")
    return text


def shape_text(shape: Shape) -> str:
    return tuple_text(size_text(size) for size in shape)


def nested(array: np.ndarray[Any, Any]) -> str:
    """Return an array as nested tuples."""
    return tuple_text(nested(each) for each in array) if array.ndim else number(array)


class Text:
    """Statements, as they are written; each name is given once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.taken: set[str] = set()
        self._numbers: dict[str, int] = {}
        self._loops: list[tuple[str, int]] = []
        """The loops around, each with the place of its first line."""
        self._depths: dict[str, int] = {}
        """How many loops are around the statement that a name is bound by."""

    def name(self, wanted: str) -> str:
        """Return a name of the language like the one that is wanted, which nothing else has."""
        found = free_name(wanted, self.taken)
        self.taken.add(found)
        self._depths[found] = len(self._loops)
        return found

    def numbered(self, stem: str) -> str:
        """Return the next name of a kind: ``dot_1``, ``dot_2``."""
        self._numbers[stem] = self._numbers.get(stem, 0) + 1
        return self.name(f"{stem}_{self._numbers[stem]}")

    def line(self, text: str) -> None:
        self.lines.append("  " * len(self._loops) + text)

    def bind(self, stem: str, text: str, shape: Sequence[Any], *, fed: bool, whole: bool = False) -> Tensor:
        """Give an expression a name, and return it as a tensor."""
        name = self.numbered(stem)
        self.line(f"{name} = {text}")
        return Tensor(name, tuple(shape), fed, whole)

    @property
    def is_inside(self) -> bool:
        """Whether statements are those of a loop's body."""
        return bool(self._loops)

    @contextmanager
    def loop(self, name: str, length: int, carried: Iterable[str]) -> Iterator[None]:
        """Within it, statements are those of the body of a loop, which gives the carried names new values."""
        self.line(f"for {name} in 0..{length} {{")
        self._loops.append((name, len(self.lines) - 1))
        depth = len(self._loops)
        self._depths.update(dict.fromkeys((name, *carried), depth))
        yield
        self._loops.pop()
        self.line("}")
        for each, found in self._depths.items():
            self._depths[each] = min(found, depth - 1)

    def outermost(self, loops: Iterable[str]) -> str:
        """Return which of some loops around the statement is around the others."""
        order = [name for name, _ in self._loops]
        return min(loops, key=order.index)

    def above(self, value: Tensor, loop: str) -> Tensor:
        """Return a tensor by a name that is bound above a loop, as what its iterations take slices of.

        Raises:
            Refused: if the tensor is made in the loop.
        """
        depth = next((at for at, (name, _) in enumerate(self._loops) if name == loop), len(self._loops))
        if any(self._depths.get(word, 0) > depth for word in re.findall(r"[A-Za-z_]\w*", value.text)):
            raise Refused(
                "it takes entries, by the number of an iteration, of what the loop makes",
                "a loop carries what an iteration needs of the one before",
            )
        if value.text.isidentifier():
            return value
        made = self.numbered("rows")
        self._depths[made] = depth
        line = "  " * depth + f"{made} = {value.text}"
        if depth == len(self._loops):
            self.lines.append(line)
        else:
            place = self._loops[depth][1]
            self.lines.insert(place, line)
            self._loops[depth:] = [(name, at + 1) for name, at in self._loops[depth:]]
        return Tensor(made, value.shape, value.fed, value.whole)

    def constant(self, value: Constant) -> Tensor:
        """Return a constant as an expression of its shape."""
        if value.is_whole:
            raise Refused("it computes with whole numbers", "convert them to numbers with fractions first")
        if any(size == 0 for size in value.array.shape):
            raise Refused("it has no entries")
        one = value.number
        if one is not None:
            return Tensor(f"full({shape_text(value.shape)}, {number(one)})", value.shape)
        entries = self.entries(value.array)
        if entries.shape == value.shape:
            return entries
        return Tensor(f"broadcast({entries.text}, {shape_text(value.shape)})", value.shape, narrow=entries)

    def entries(self, array: np.ndarray[Any, Any]) -> Tensor:
        """Return numbers as an expression."""
        if array.size > MAX_ARRAY:
            raise Refused(
                f"it computes with a constant of {array.size:,} numbers, more than {MAX_ARRAY:,}",
                "make it a parameter that does not move (freeze=), or an input",
            )
        return Tensor(f"array({nested(array)})", array.shape)
