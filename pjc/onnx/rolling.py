"""Make a loop of equal layers that a text writes one after another.

This is for reading: a loop's parameters are one tensor with a first axis, where the layers' are many. The
compiler finds equal layers by itself (net-roll) and keeps their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

LEAST = 3
"""Fewer equal layers are left as they are."""
STATEMENT = re.compile(r"(param )?([A-Za-z_]\w*)(: [^=]*)? = (.*)")
INPUT = re.compile(r"input (\w+):")
NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
PLACE = re.compile(r"(\[(?:\.\.\., |:, )*)(\d+)(?=[\],])")
"""A number that takes one entry of an axis: it may count with the layers."""


@dataclass(frozen=True)
class Statement:
    """A line ``NAME = ...`` or ``param NAME: ... = ...``: what it reads, and the entries that it takes."""

    text: str
    name: str
    reads: tuple[str, ...]
    places: tuple[int, ...]
    kind: str
    """The line with blanks for the names that other lines make, and for the places."""


def rolled(lines: Sequence[str]) -> list[str]:
    """Return the lines of a text with a loop for each run of at least three equal layers.

    Lines that are no statements of one line are left as they are. Sizes are not looked at: whether what
    a loop carries keeps its shape shows when the text is compiled.
    """
    names = [match[2] for line in lines if (match := STATEMENT.fullmatch(line))]
    if len(set(names)) < len(names):
        return list(lines)
    inputs = [match[1] for line in lines if (match := INPUT.match(line))]
    statements = [_statement(line, {*names, *inputs}) for line in lines]
    found = _best(lines, statements)
    if found is None:
        return list(lines)
    after = [_renamed(line, found.final) for line in lines[found.end :]]
    return [*rolled(lines[: found.start]), *found.loop(), *rolled(after)]


def _statement(line: str, names: set[str]) -> Statement | None:
    """Return a line taken apart; None for one that no loop may hold."""
    match = STATEMENT.fullmatch(line)
    if match is None:
        return None
    reads = tuple(word for word in NAME.findall(match[4]) if word in names)
    places = tuple(int(number) for _, number in PLACE.findall(match[4]))
    blank = PLACE.sub(r"\1_", NAME.sub(lambda word: "_" if word[0] in names else word[0], match[4]))
    return Statement(line, match[2], reads, places, f"{match[1]}{match[3]} = {blank}")


@dataclass
class _Run:
    """``count`` layers of ``size`` statements from ``start`` on."""

    lines: Sequence[str]
    statements: Sequence[Statement | None]
    start: int
    size: int
    count: int
    carried: dict[int, str] = field(default_factory=dict)
    """For each statement whose value the next layer reads, what the first layer reads in its stead."""
    layers: list[list[Statement]] = field(init=False)

    def __post_init__(self) -> None:
        known = [each for each in self.statements[self.start : self.end] if each is not None]
        self.layers = [known[i : i + self.size] for i in range(0, len(known), self.size)]

    @property
    def end(self) -> int:
        return self.start + self.size * self.count

    def fits(self) -> bool:
        """Whether the layers are wired alike; finds what they carry."""
        made = {
            each.name: (layer, index)
            for layer, statements in enumerate(self.layers)
            for index, each in enumerate(statements)
        }
        for index in range(self.size):
            column = [layer[index] for layer in self.layers]
            if not self._is_counted(column):
                return False
            for slot in range(len(column[0].reads)):
                sources = [_source(each.reads[slot], layer, made) for layer, each in enumerate(column)]
                if not self._is_wired(sources):
                    return False
        inside = {
            name for name, (layer, at) in made.items() if layer < self.count - 1 or at not in self.carried
        }
        later = {word for line in self.lines[self.end :] for word in NAME.findall(line)}
        return bool(self.carried) and not later & inside

    @staticmethod
    def _is_counted(column: Sequence[Statement]) -> bool:
        """Whether the places of a statement grow evenly from layer to layer."""
        numbers = np.array([each.places for each in column], np.int64)
        return bool((np.diff(numbers, 2, axis=0) == 0).all() and (np.diff(numbers, axis=0) >= 0).all())

    def _is_wired(self, sources: Sequence[tuple[str, object]]) -> bool:
        """Whether what the layers read at a place comes from alike; notes what is carried."""
        second = sources[1]
        if any(source != second for source in sources[2:]):
            return False
        kind, at = second
        if kind == "before":
            first, name = sources[0]
            return first == "outside" and self.carried.setdefault(int(str(at)), str(name)) == name
        return sources[0] == second

    def loop(self) -> list[str]:
        """Return the lines of the loop, in the names of the first layer."""
        first = self.layers[0]
        names = {init: first[at].name for at, init in self.carried.items()}
        heads = [f"{first[at].name} = {init}" for at, init in self.carried.items()]
        body = [f"  {_renamed(self._counted(index), names)}" for index in range(self.size)]
        return [*heads, f"for layer in 0..{self.count} {{", *body, "}"]

    def _counted(self, index: int) -> str:
        """Return a line of the first layer with its places told by the number of the layer."""
        one, other = self.layers[0][index], self.layers[1][index]
        steps = iter(zip(one.places, other.places, strict=True))

        def shown(found: re.Match[str]) -> str:
            first, second = next(steps)
            step = second - first
            if step == 0:
                return f"{found[1]}{first}"
            layer = "layer" if step == 1 else f"{step} * layer"
            return f"{found[1]}{layer} + {first}" if first else f"{found[1]}{layer}"

        left, right = one.text.split(" = ", 1)
        return f"{left} = {PLACE.sub(shown, right)}"

    @property
    def final(self) -> dict[str, str]:
        """What later lines call the values of the last layer."""
        return {last.name: first.name for first, last in zip(self.layers[0], self.layers[-1], strict=True)}


def _source(name: str, layer: int, made: Mapping[str, tuple[int, int]]) -> tuple[str, object]:
    """Return where a layer has a value from: itself, the one before, farther off, or outside."""
    if name not in made:
        return "outside", name
    found, index = made[name]
    return {0: "own", 1: "before"}.get(layer - found, f"{layer - found}"), index


def _renamed(line: str, names: Mapping[str, str]) -> str:
    return NAME.sub(lambda word: names.get(word[0], word[0]), line)


def _best(lines: Sequence[str], statements: Sequence[Statement | None]) -> _Run | None:
    """Return the equal layers that hold the most statements; of those the shortest, carrying the least."""
    kinds: dict[str, int] = {}
    numbers = np.array(
        [
            -1 - at if each is None else kinds.setdefault(each.kind, len(kinds))
            for at, each in enumerate(statements)
        ]
    )
    best: tuple[tuple[int, int, int], _Run] | None = None
    for size in range(1, len(statements) // LEAST + 1):
        for start, length in _stretches(numbers[:-size] == numbers[size:], (LEAST - 1) * size):
            for offset in range(min(size, length)):
                count = (length - offset) // size + 1
                if count < LEAST or (best is not None and count * size < best[0][0]):
                    continue
                run = _Run(lines, statements, start + offset, size, count)
                if not run.fits():
                    continue
                rank = count * size, -size, -len(run.carried)
                if best is None or rank > best[0]:
                    best = rank, run
    return None if best is None else best[1]


def _stretches(same: np.ndarray, least: int) -> Iterator[tuple[int, int]]:
    """Yield the start and length of each stretch of true entries that is long enough."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start >= least:
            yield int(start), int(end - start)
