"""A trace of training: what sampled updates told of every node, in columns, as a ``.npz`` file.

The file holds plain arrays alone. ``step`` and ``seed`` say which update of which run a row is of; ``names``,
``kinds``, ``parts`` and ``iterations`` what a column is of; ``measure/NAME`` has the numbers, ``[rows,
columns]``, NaN where a measure says nothing of a node. A node that stands for all iterations of a loop has a
column for all of them (iteration -1), and where they are told apart one for each.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pjc.reading import measured, reading

from .data.errors import DataError
from .files import replace_file

MEASURES: Mapping[str, str] = {
    "gap": "root mean square by which the parts disagree about what the node holds, after the update",
    "moved": "root mean square by which the node's projection moves the copies it holds, after the update",
    "spread": "root mean square distance of a value's copies from what its readers agree on",
    "t": "largest multiplier |t| of a product's sites",
    "demand": "root mean square of what is demanded of the node's value; of a requirement, what it demands",
    "response": "root mean square of what the node asks of its inputs, before it is bounded",
    "scale": "what the bound multiplies a product's response with",
    "capped": "share of a product's responses that the bound made smaller: 0 or 1, or of the steps of a loop",
    "crossed": "share of the sites of a jump at which the response leads to another of its values",
    "displacement": "root mean square of what the batch asks a parameter to move by",
    "parameter": "root mean square of a parameter",
}
"""What is measured: the first four by solvers that iterate, the others by sweeps."""
_BY_MEAN = ("scale", "capped", "crossed")
"""What of all iterations is the mean; of the others it is the root mean square, of ``t`` the largest."""
_BLAMED = ("gap", "demand")
"""By which of the measures a node holds the others back: the first of these that a trace has."""
_FORMAT = "pjc-trace-1"
_MEASURE = "measure/"
MOST_ITERATIONS = 64
"""Of loops of more iterations, those of all together are recorded alone."""
MAX_BYTES = 2**32
"""The largest trace that is read."""


class Column(NamedTuple):
    """What a column is of: a node, its operator and part, and the iteration of its loop, -1 for all."""

    name: str
    kind: str
    part: str
    iteration: int = -1


@dataclass(frozen=True)
class Trace:
    """What was recorded.

    Attributes:
        step: the updates, counted from 0 over all epochs, ``[rows]``.
        seed: those of their runs, ``[rows]``.
        columns: what is recorded of.
        measures: numbers by measure, see :data:`MEASURES`, ``[rows, columns]``.
        batches: how many updates an epoch has.
        solver: what trained.
    """

    step: NDArray[np.int64]
    seed: NDArray[np.int64]
    columns: tuple[Column, ...]
    measures: Mapping[str, NDArray[np.float32]]
    batches: int = 0
    solver: str = ""

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        nodes = len(self.names())
        return f"<pjc trace of {len(self)} updates, {nodes} nodes: {', '.join(self.measures)}>"

    def names(self, measure: str | None = None) -> tuple[str, ...]:
        """Return the nodes, or those of which a measure says something."""
        said = [True] * len(self.columns) if measure is None else self._said(measure)
        return tuple(
            each.name for each, any_ in zip(self.columns, said, strict=True) if each.iteration < 0 and any_
        )

    def series(self, name: str, measure: str, iteration: int = -1) -> NDArray[np.float32]:
        """Return the numbers of a node over the rows; of one iteration of its loop, or of all together.

        Raises:
            KeyError: if there is no such column, or measure.
        """
        wanted = (name, iteration)
        found = [at for at, each in enumerate(self.columns) if (each.name, each.iteration) == wanted]
        if not found:
            raise KeyError(f"the trace has no node {name!r} with iteration {iteration}")
        if measure not in self.measures:
            raise KeyError(f"the trace has no measure {measure!r}; it has {', '.join(self.measures)}")
        return self.measures[measure][:, found[0]]

    def rows(self, keep: NDArray[np.bool_]) -> Trace:
        """Return the trace of some of the rows."""
        measures = {name: each[keep] for name, each in self.measures.items()}
        return Trace(self.step[keep], self.seed[keep], self.columns, measures, self.batches, self.solver)

    @property
    def blamed(self) -> str | None:
        """The measure by which nodes are compared: which of them holds the others back."""
        return next((name for name in _BLAMED if name in self.measures), None)

    def findings(self) -> list[str]:
        """Return what the trace says, in sentences: which constraint is farthest, moves most, is cut most."""
        found = []
        for measure, text in _SAID.items():
            largest = self._largest(measure)
            if largest is not None:
                name, value, last = largest
                found.append(text.format(name=name, value=value, last=last))
        return found

    def _largest(self, measure: str) -> tuple[str, float, float] | None:
        """Return the node whose mean over the rows is largest, that, and that over the last tenth of rows."""
        names = self.names(measure)
        if not names or not len(self):
            return None
        series = [self.series(name, measure) for name in names]
        means = [float(np.mean(each[np.isfinite(each)])) for each in series]
        at = int(np.argmax(means))
        late = series[at][-max(1, len(self) // 10) :]
        late = late[np.isfinite(late)]
        if not means[at] > 0:
            return None
        return names[at], means[at], float(np.mean(late)) if len(late) else means[at]

    def _said(self, measure: str) -> list[bool]:
        if measure not in self.measures:
            return [False] * len(self.columns)
        return [bool(np.isfinite(column).any()) for column in self.measures[measure].T]


_SAID = {
    "gap": "{name} holds the problem back most: there the parts disagree by {value:.3g} on average, "
    "{last:.3g} at the end",
    "moved": "{name} moves most: by {value:.3g} on average, {last:.3g} at the end",
    "spread": "the copies of {name} are farthest apart: {value:.3g} on average, {last:.3g} at the end",
    "t": "{name} has the largest multipliers: |t| up to {value:.3g} on average, {last:.3g} at the end",
    "demand": "the most is demanded of {name}: {value:.3g} on average, {last:.3g} at the end",
    "capped": "what {name} asks is capped most often: in {value:.0%} of the updates, {last:.0%} at the end",
    "crossed": "{name} crosses most of its jumps: {value:.2%} of them on average, {last:.2%} at the end",
    "displacement": "{name} is to move most: by {value:.3g} on average, {last:.3g} at the end",
}


def together(measure: str, iterations: NDArray[Any]) -> NDArray[Any]:
    """Return the number of all iterations of a loop, which are along the last axis."""
    if measure in _BY_MEAN:
        return np.asarray(np.mean(iterations, axis=-1))
    if measure == "t":
        return np.asarray(np.max(iterations, axis=-1))
    return np.asarray(np.sqrt(np.mean(np.square(iterations), axis=-1)))


def joined(traces: Sequence[Trace]) -> Trace:
    """Return the rows of traces, one after another, with the columns of all; what one lacks is NaN."""
    columns = tuple(dict.fromkeys(column for each in traces for column in each.columns))
    names = [name for name in MEASURES if any(name in each.measures for each in traces)]
    at = {column: number for number, column in enumerate(columns)}
    measures = {}
    for name in names:
        whole = np.full((sum(map(len, traces)), len(columns)), np.nan, np.float32)
        start = 0
        for each in traces:
            if name in each.measures and len(each):
                places = [at[column] for column in each.columns]
                whole[start : start + len(each), places] = each.measures[name]
            start += len(each)
        measures[name] = whole
    step = np.concatenate([each.step for each in traces]) if traces else np.zeros(0, np.int64)
    seed = np.concatenate([each.seed for each in traces]) if traces else np.zeros(0, np.int64)
    last = traces[-1] if traces else Trace(step, seed, (), {})
    return Trace(step, seed, columns, measures, last.batches, last.solver)


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace; the file is never half written. Raises WriteError."""
    arrays = {
        "format": np.array(_FORMAT),
        "solver": np.array(trace.solver),
        "batches": np.array(trace.batches, np.int64),
        "step": trace.step,
        "seed": trace.seed,
        "names": np.array([each.name for each in trace.columns], np.str_),
        "kinds": np.array([each.kind for each in trace.columns], np.str_),
        "parts": np.array([each.part for each in trace.columns], np.str_),
        "iterations": np.array([each.iteration for each in trace.columns], np.int64),
        **{_MEASURE + name: each for name, each in trace.measures.items()},
    }

    def fill(temporary: Path) -> None:
        with temporary.open("wb") as stream:  # a name would be given the ending .npz
            np.savez(stream, allow_pickle=False, **arrays)

    replace_file(path, fill)


def read_trace(path: str | Path) -> Trace:
    """Return the trace in a file that ``pjc train --trace`` wrote.

    Raises:
        DataError: for any other file.
    """
    path = Path(path)
    measured(path, MAX_BYTES, DataError)
    with reading(path, "a trace of pjc train", DataError):
        arrays = _arrays(path)
        if arrays.get("format") != _FORMAT:
            raise ValueError("it says nothing of being one")
        step, seed = (_vector(arrays[name], "i") for name in ("step", "seed"))
        named = [_vector(arrays[name], "U") for name in ("names", "kinds", "parts")]
        iterations = _vector(arrays["iterations"], "i")
        columns = tuple(
            Column(str(name), str(kind), str(part), int(iteration))
            for name, kind, part, iteration in zip(*named, iterations, strict=True)
        )
        shape = len(step), len(columns)
        measures = {name: arrays[_MEASURE + name] for name in MEASURES if _MEASURE + name in arrays}
        if len(seed) != len(step) or len(set(columns)) != len(columns):
            raise ValueError("its rows or columns do not fit each other")
        for name, each in measures.items():
            if each.shape != shape or each.dtype != np.float32:
                raise ValueError(f"{name} is {each.dtype} {list(each.shape)}, expected float32 {list(shape)}")
        return Trace(step, seed, columns, measures, int(arrays["batches"]), str(arrays["solver"]))


def looks_like_trace(path: Path) -> bool:
    """Return whether a file is an archive of arrays with those of a trace; raises nothing."""
    try:
        if not path.is_file():  # to open a pipe may wait forever
            return False
        with zipfile.ZipFile(path) as archive:
            return {"step.npy", "names.npy", "iterations.npy"} <= set(archive.namelist())
    except Exception:  # what damaged archives raise is listed nowhere
        return False


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays in a file, none of which takes more bytes than that."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        if sum(each.file_size for each in archive.infolist()) > size:
            raise ValueError("it holds more than its size, and a trace is not compressed")
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _vector(array: NDArray[Any], kind: str) -> NDArray[Any]:
    if array.ndim != 1 or array.dtype.kind != kind:
        raise ValueError(f"expected a list of {'numbers' if kind == 'i' else 'names'}, found {array.dtype}")
    return array
