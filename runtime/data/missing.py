"""Values that tables lack: which, and how means are filled in for them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dataset import Dataset
from .errors import DataError
from .parts import Parts
from .rows import Rows, blocks

_MEAN = "mean"
_SHOWN = 12


@dataclass(frozen=True)
class Lack:
    """Which rows lack a value of a column; ``filled`` tells whether a mean may stand in for it."""

    what: str
    rows: NDArray[Any]
    filled: bool = True


def kept(
    lacks: Sequence[Lack], lines: NDArray[Any] | None, missing: str, where: str
) -> tuple[NDArray[Any] | None, list[str]]:
    """Return which rows are used (None: all), and what is to be said of that.

    ``lines`` are the numbers of the rows' lines in a file; ``missing`` is one of MISSING. Raises DataError,
    with how many values each column lacks, for those that are neither filled in nor left out.
    """
    some = [lack for lack in lacks if lack.rows.any()]
    wrong = [lack for lack in some if missing != _MEAN or not lack.filled]
    if not wrong:
        return None, []
    without: NDArray[Any] = np.logical_or.reduce([lack.rows for lack in wrong])
    counts = ", ".join(f"{int(lack.rows.sum())} in {lack.what}" for lack in wrong[:_SHOWN])
    counts += ", ..." if len(wrong) > _SHOWN else ""
    if missing != "drop":
        first = int(without.argmax())
        at = f"sample {first} (counted from 0)" if lines is None else f"line {int(lines[first])}"
        fill = "" if any(not lack.filled for lack in wrong) else "--missing mean fills in means, "
        raise DataError(
            f"{where} lacks values: {counts}, the first in {at}; {fill}--missing drop leaves out the "
            f"{int(without.sum())} of {len(without)} rows"
        )
    if without.all():
        raise DataError(f"{where} lacks values in every row, so that none is left: {counts}")
    return ~without, [
        f"{where}: {int(without.sum())} of {len(without)} rows are left out, as values lack: {counts}"
    ]


@dataclass(frozen=True)
class Fill:
    """What stands for values that are missing: a number for each entry of a sample."""

    values: NDArray[Any]

    @staticmethod
    def measure(data: Dataset) -> Fill:
        """Return the means of what there is in ``data``, in float64; a category's is how often it occurs.

        Raises DataError for a feature that no sample has.
        """
        total = np.zeros(data.x.shape[1:])
        count = np.zeros(data.x.shape[1:], np.int64)
        for _, block in blocks(data.x):
            there = ~np.isnan(block)
            count += there.sum(axis=0)
            total += np.where(there, block, 0).sum(axis=0, dtype=np.float64)
        if not count.all():
            place = int((count.reshape(-1) == 0).argmax())
            names = data.columns if len(data.columns) == count.size else ()
            name = repr(names[place]) if names else f"number {place + 1}"
            raise DataError(
                f"the feature {name} has no value in any sample of {data.name} to train on; leave it out "
                "with --ignore"
            )
        return Fill(total / count)

    def __call__(self, data: Dataset) -> Dataset:
        """Return ``data`` with nothing missing; raises DataError if its features have another shape."""
        shape, dtype = data.x.shape[1:], data.x.dtype
        if shape != self.values.shape:
            raise DataError(
                f"a sample of {data.name} has shape {list(shape)}, in training it was "
                f"{list(self.values.shape)}"
            )
        if not data.lacks:
            return data

        def fill(x: NDArray[Any]) -> NDArray[Any]:
            return np.where(np.isnan(x), self.values.astype(dtype), x)

        x = data.x.map(fill, shape, dtype) if isinstance(data.x, Rows) else fill(data.x)
        return replace(data, x=x, lacks=False)

    def notes(self) -> dict[str, str]:
        """Return the numbers as JSON, to be kept beside the parameters that rely on them."""
        return {"missing": _MEAN, "fill": json.dumps(self.values.tolist())}


def filled(parts: Parts, missing: str) -> Parts:
    """Return the parts, in each of which the means of the training part stand for what is missing."""
    if missing != _MEAN:
        return parts
    fill = Fill.measure(parts.train)
    return replace(parts.each(fill), notes={**parts.notes, **fill.notes()})
