"""What a training run leaves behind: its history (CSV) and its parameters (safetensors).

The parameters' file is also the checkpoint: its metadata says how far training had come, so that a
resumed run gives the same numbers as one that was never stopped.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pjc.diagnostics import PjcError
from pjc.reading import reading

from .data.errors import DataError, require_file
from .files import replace_file
from .finite import not_finite
from .units import Units, UnitsError

_FORMAT = "pjc-training-2"
_OLDER = ("pjc-training-1",)
_LATENT = "latent/"
"""What the names of latent parameters begin with in a file; no parameter's own name has a slash."""
_UNITS = "units/"
"""What the names of units' arrays begin with: ``units/TARGET/scale`` and ``units/TARGET/offset``."""


@dataclass(frozen=True)
class Row:
    """One epoch: seconds since training began, mean gap of its batches, validation score, largest |t|.

    ``training`` is the score on some of the samples that are trained on; None where nothing is validated.
    ``gap`` is the demand where the solver goes once through the network: see ``Stepper.measure``. ``t`` is
    that of the factored dots; None if there are none. ``violation`` is how far the parameters were from the
    sets that they are required to be in: the root mean square distance to the set that was farthest, mean
    over the batches; None if there are no sets, or it is not told. ``loss`` is the mean of the loss itself
    over the batches, each with the parameters that it began with; None where it is not told, or too large.
    """

    epoch: int
    seconds: float
    gap: float
    validation: float | None
    t: float | None = None
    violation: float | None = None
    training: float | None = None
    loss: float | None = None

    def told(self, measure: str) -> str:
        """Return what a person reads of the epoch's batches; ``measure`` is what the gap is called."""
        loss = "" if self.loss is None else f", loss {self.loss:.4g}"
        return f"{measure} {self.gap:.3g}{loss}"


@dataclass(frozen=True)
class Result:
    """Where training stands: after ``epoch`` whole epochs and ``batch`` batches of the next one.

    ``params`` is the flat dict of parameters, which are in all sets that are required of them; ``latent`` has
    what training goes on from in place of those of them that had to be projected, and what an outer step
    remembers, by names that no parameter has. ``history`` has a row for
    each whole epoch, ``gap_sum`` is the sum of the gaps of the ``batch`` batches, ``loss_sum`` that of their
    losses (None where those are not told), ``seconds`` the time
    trained. ``multipliers`` has the largest |t| of each factored dot in those batches, and ``held`` names
    the dots that were factored first and are held since, because their |t| was large.
    """

    params: Mapping[str, Any]
    history: tuple[Row, ...] = ()
    epoch: int = 0
    batch: int = 0
    gap_sum: float = 0.0
    seconds: float = 0.0
    multipliers: Mapping[str, float] = field(default_factory=dict)
    held: tuple[str, ...] = ()
    latent: Mapping[str, Any] = field(default_factory=dict)
    violation_sum: float = 0.0
    loss_sum: float | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A result on disk, with the settings of its run, and the units of the targets that it was trained on."""

    result: Result
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    units: Mapping[str, Units] = field(default_factory=dict)


def write_history(path: Path, rows: Sequence[Row], metric: str, measure: str = "gap") -> None:
    """Write :func:`history_text` to a file."""
    text = history_text(rows, metric, measure)
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def history_text(rows: Sequence[Row], metric: str, measure: str = "gap") -> str:
    """Return a CSV of one row an epoch.

    Its columns: epoch, seconds, ``<measure>``, loss, ``training_<metric>``, ``validation_<metric>``,
    largest_t, violation.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    scores = [f"{part}_{metric.replace(' ', '_')}" for part in ("training", "validation")]
    writer.writerow(["epoch", "seconds", measure, "loss", *scores, "largest_t", "violation"])
    for row in rows:
        told = ["" if each is None else repr(each) for each in (row.loss, row.training, row.validation)]
        largest = "" if row.t is None else f"{row.t:.4g}"
        away = "" if row.violation is None else f"{row.violation:.4g}"
        writer.writerow([row.epoch, f"{row.seconds:.3f}", repr(row.gap), *told, largest, away])
    return text.getvalue()


def write_checkpoint(path: Path, checkpoint: Checkpoint, notes: Mapping[str, str]) -> None:
    """Write parameters as safetensors, the rest in the metadata; the file is never half written.

    ``notes`` are more entries for the metadata. Raises WriteError.
    """
    from safetensors.numpy import save_file

    result = checkpoint.result
    state = {key: value for key, value in vars(result).items() if key not in ("params", "latent")}
    state["history"] = [asdict(row) for row in checkpoint.result.history]
    metadata = {
        **notes,
        "format": _FORMAT,
        "epoch": str(checkpoint.result.epoch),
        "seed": str(checkpoint.settings.get("seed", "")),
        "state": json.dumps(state),
        "settings": json.dumps(dict(checkpoint.settings)),
    }
    kept = {**result.params, **{_LATENT + name: value for name, value in result.latent.items()}}
    for target, units in checkpoint.units.items():
        kept |= {f"{_UNITS}{target}/{name}": array for name, array in units.arrays().items()}
    arrays = {name: np.asarray(value, order="C") for name, value in kept.items()}
    replace_file(path, lambda temporary: save_file(arrays, temporary, metadata))


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what ``write_checkpoint`` wrote; raise DataError for any other file."""
    arrays, metadata = _read(path)
    if metadata.get("format") in _OLDER:
        raise DataError(
            f"{path} was written by an older pjc, whose runs cannot be resumed; start a new run from its "
            f"parameters, with --params {path}"
        )
    if metadata.get("format") != _FORMAT:
        raise DataError(f"{path} holds parameters, but not the state of a training run by this pjc")
    with reading(path, "a whole checkpoint", DataError):
        result = _result(arrays, json.loads(metadata["state"]))
        settings = _of(dict, json.loads(metadata["settings"]))
        if not all(isinstance(each, str | int | float) for each in settings.values()):
            raise ValueError("its settings are no words and numbers")
        return Checkpoint(result, settings, _units(arrays))


def _result(arrays: Mapping[str, NDArray[Any]], state: dict[str, Any]) -> Result:
    """Return the result that a record tells of; raise an error of any type for the record of none."""
    history = tuple(_row(row) for row in _of(list, state["history"]))
    epoch, batch = _count(state["epoch"]), _count(state["batch"])
    if [row.epoch for row in history] != list(range(1, epoch + 1)):
        raise ValueError(f"its history is not of the {epoch} epochs that it says it had")
    return Result(
        _parameters(arrays),
        history,
        epoch,
        batch,
        gap_sum=_number(state["gap_sum"]),
        seconds=_number(state["seconds"]),
        multipliers={str(name): _number(each) for name, each in _of(dict, state["multipliers"]).items()},
        held=tuple(str(_of(str, each)) for each in _of(list, state.get("held", []))),
        latent=_under(_LATENT, arrays),
        violation_sum=_number(state.get("violation_sum", 0.0)),
        loss_sum=None if state.get("loss_sum") is None else _number(state["loss_sum"]),
    )


def _row(row: dict[str, Any]) -> Row:
    optional = ("validation", "t", "violation", "training", "loss")
    told = {name: None if row.get(name) is None else float(row[name]) for name in optional}
    return Row(_count(row["epoch"]), _number(row["seconds"]), _number(row["gap"]), **told)


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _count(value: Any) -> int:
    if not 0 <= _of(int, value) < 2**48:
        raise ValueError(f"expected a count, found {value}")
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < 0:
        raise ValueError(f"expected a finite number from 0, found {str(value)[:40]}")
    return float(value)


def read_parameters(path: str | Path) -> dict[str, NDArray[Any]]:
    """Return the parameters in a safetensors file by name; raise DataError, also where one is not finite."""
    return _parameters(_read(Path(path))[0])


def read_units(path: Path) -> dict[str, Units]:
    """Return the units that the parameters in a file were trained in, by target; raise DataError."""
    arrays = _read(path)[0]
    with reading(path, "a file of parameters with units", DataError):
        return _units(arrays)


@dataclass(frozen=True)
class Stored:
    """What a file of parameters holds: these, the units they were trained in, and the texts beside them.

    ``latent`` is what training goes on from beside them. See :class:`pjc.runtime.data.recipe.Known` for what
    the texts, by name, say of the data.
    """

    params: Mapping[str, NDArray[Any]]
    units: Mapping[str, Units]
    latent: Mapping[str, NDArray[Any]]
    notes: Mapping[str, str]


def read_stored(path: Path) -> Stored:
    """Return all that is in a file of parameters; raise DataError."""
    arrays, notes = _read(path)
    with reading(path, "a file of parameters with units", DataError):
        return Stored(_parameters(arrays), _units(arrays), _under(_LATENT, arrays), notes)


def _parameters(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: value for name, value in arrays.items() if not name.startswith((_LATENT, _UNITS))}


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _units(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Units]:
    found: dict[str, dict[str, Any]] = {}
    for name, value in _under(_UNITS, arrays).items():
        target, _, which = name.rpartition("/")
        found.setdefault(target, {})[which] = value
    try:
        return {target: Units.from_record(each) for target, each in found.items()}
    except UnitsError as error:  # which names no file
        raise ValueError(str(error)) from error


def is_checkpoint(notes: Mapping[str, str]) -> bool:
    """Whether the texts beside parameters say that :func:`read_checkpoint` reads their file."""
    return notes.get("format") == _FORMAT


def looks_like_history(path: Path) -> bool:
    """Return whether a file begins as :func:`write_history` begins one; raises nothing."""
    return _begins(path, b"epoch,seconds,")


def looks_like_runs(path: Path) -> bool:
    """Return whether a file begins as the table of several runs does; raises nothing."""
    return _begins(path, b"seed,epochs,seconds,")


def _begins(path: Path, head: bytes) -> bool:
    try:
        require_file(path)  # a pipe would never end
        with path.open("rb") as stream:
            return stream.read(64).startswith(head)
    except (OSError, PjcError):
        return False


def _read(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    from safetensors import safe_open

    require_file(path)
    with reading(path, "a whole safetensors file", DataError):
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
                raise DataError(f"{path}: {name!r} holds {array.dtype}, which are no numbers of a parameter")
        for name in not_finite(arrays):
            raise DataError(f"{path}: {name!r} has numbers that are not finite; take the file of another run")
    return arrays, metadata
