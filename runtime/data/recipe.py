"""What a file of parameters keeps of the data that they were trained on, and what other data owes to it.

The notes in the file's metadata are texts by name: ``normalize``, ``shift``, ``scale``, ``vocabulary``,
``class_names``, ``columns``, and the ``recipe``: which data it was, and how it was cut into parts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from pjc.reading import reading

from .dataset import Dataset
from .errors import DataError
from .fitting import numbered
from .missing import Fill
from .normalize import Normalize
from .parts import NORMALIZATIONS, Parts, Request
from .tables import Levels, columns_of, releveled, with_columns
from .text import Vocabulary

RECIPE = "recipe"


@dataclass(frozen=True)
class Recipe:
    """How the parts of a run were made: what was asked for, and checksums of all of the data.

    ``checksum`` is that of ``request.data`` in the network's shapes, before parts were set aside and
    normalized; ``test_checksum`` that of ``request.test_data``, None where there was none.
    """

    request: Request
    checksum: int
    test_checksum: int | None = None

    def notes(self) -> dict[str, str]:
        """Return the recipe as an entry of a file's metadata."""
        asked = {name: value for name, value in vars(self.request).items() if value not in (None, ())}
        sums = {"checksum": self.checksum, "test_checksum": self.test_checksum}
        return {RECIPE: json.dumps({"request": asked, **sums})}

    @staticmethod
    def of(text: str) -> Recipe:
        """Return the recipe that :meth:`notes` wrote; raise an error of any type for any other text."""
        record = _of(dict, json.loads(text))
        asked = _of(dict, record["request"])
        known = {each.name: each for each in fields(Request)}
        for name in asked.keys() - known.keys():
            raise ValueError(f"its recipe asks for {name!r}, of which this pjc knows nothing; upgrade it")
        hints = get_type_hints(Request)
        request = Request(**{name: _plain(value, hints[name]) for name, value in asked.items()})
        _check(request)
        return Recipe(request, _number(record["checksum"]), _perhaps(record.get("test_checksum")))


def with_recipe(parts: Parts, request: Request) -> Parts:
    """Return the parts of a run with notes that say how they were made."""
    if parts.checksum is None:
        return parts
    recipe = Recipe(request, parts.checksum, parts.test_checksum)
    return replace(parts, notes={**parts.notes, **recipe.notes()})


@dataclass(frozen=True)
class Known:
    """What parameters rely on: how samples were normalized, and in which order there were names."""

    normalize: Normalize | None = None
    codes: NDArray[np.uint32] | None = None
    """The characters of the vocabulary, where the network was trained on a text."""
    class_names: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    levels: Levels = field(default_factory=dict)
    """The categories of the columns that hold such, each of which is a feature in ``columns``."""
    fill: Fill | None = None
    recipe: Recipe | None = None

    @staticmethod
    def of(notes: Mapping[str, str], file: str) -> Known:
        """Return what the notes in a ``file`` say; raise DataError for what pjc does not write."""
        with reading(file, "a file of parameters by pjc", DataError):
            return Known(
                _normalize(notes),
                _codes(notes["vocabulary"]) if "vocabulary" in notes else None,
                _names(notes.get("class_names", "[]")),
                _names(notes.get("columns", "[]")),
                _levels(notes.get("levels", "{}")),
                _fill(notes),
                Recipe.of(notes[RECIPE]) if RECIPE in notes else None,
            )

    def finished(self, data: Dataset) -> Dataset:
        """Return samples as the network takes them: means stand for what is missing, and all are normalized.

        Raises DataError where they have another shape, and for values that are missing if training had all.
        """
        if self.fill is not None:
            data = self.fill(data)
        elif data.lacks:
            raise DataError(
                f"{data.name} lacks values, and training had none to fill in; --missing drop leaves out such "
                "rows"
            )
        return data if self.normalize is None else self.normalize(data)

    def ordered(self, data: Dataset) -> tuple[Dataset, tuple[str, ...]]:
        """Return samples with the features of training, in their order, and the columns that are left out.

        As they are where either has no names. Raises DataError for a column that is missing, and for a
        category that training did not have.
        """
        if not self.columns or not data.columns:
            return data, ()
        ours, wanted = columns_of(data.columns, data.levels), columns_of(self.columns, self.levels)
        missing = [name for name in wanted if name not in ours]
        if missing:
            raise DataError(
                f"{data.name} has no column {missing[0]!r}, which the network was trained with; its columns "
                f"are {_few(ours)}"
            )
        found = releveled(with_columns(data, wanted), self.columns, self.levels, "the data of training")
        return found, tuple(name for name in ours if name not in wanted)

    def numbered(self, data: Dataset, classes: int | None) -> Dataset:
        """Return data with the class numbers of training, by the names of classes.

        The network tells so many ``classes`` apart; None: it takes numbers. Where nothing is known of
        training, names of all of them are numbered in their order, as training does. Raises DataError for a
        class that training did not have, and where only one of the two has names.
        """
        if classes is None or data.class_names == self.class_names:
            return data
        if data.classes is None:
            data = _counted(data) if self.class_names else data
        if data.classes is None or (self._is_bare and len(data.class_names) in (0, classes)):
            return data
        if not self.class_names:
            raise DataError(
                f"{data.name} has the class {data.class_names[0]!r}, but the network was trained on class "
                "numbers"
            )
        wrong = "which the network was not trained on; its classes are"
        return numbered(data, self.class_names, wrong)

    @property
    def _is_bare(self) -> bool:
        """Whether it is not known how the classes of training were numbered."""
        return not self.class_names and self.recipe is None

    def vocabulary(self, room: int) -> Vocabulary:
        """Return the vocabulary for a network with ``room`` for so many characters; raise DataError."""
        if self.codes is None:
            raise DataError(
                "the parameters come without a vocabulary: pjc train writes one beside those that it trained "
                "on a text"
            )
        if len(self.codes) > room:
            raise DataError(
                f"the parameters were trained on {len(self.codes)} characters, and the network has {room} "
                "classes; name the network that they are of"
            )
        return Vocabulary(self.codes, len(self.codes) < room)


def _counted(data: Dataset) -> Dataset:
    """Return data whose targets are whole numbers that are floats as class numbers; others as they are."""
    y = np.asarray(data.y[:])
    if y.ndim != 1 or y.dtype.kind != "f" or not np.array_equal(y, np.floor(y)) or y.min() < 0:
        return data
    return replace(data, y=y.astype(np.int64), classes=int(y.max()) + 1)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")


def _normalize(notes: Mapping[str, str]) -> Normalize | None:
    if "normalize" not in notes:
        return None
    if notes["normalize"] not in NORMALIZATIONS[1:]:
        raise ValueError(f"there is no normalization {notes['normalize'][:40]!r}")
    shift, scale = (np.array(json.loads(notes[name]), np.float64) for name in ("shift", "scale"))
    if shift.shape != scale.shape or not np.isfinite([shift, scale]).all() or not (scale > 0).all():
        raise ValueError("its shift and scale are not finite, or no positive scale for each shift")
    return Normalize(notes["normalize"], shift, scale)


def _codes(text: str) -> NDArray[np.uint32]:
    characters = _of(list, json.loads(text))
    codes = np.array([ord(_text(each)) for each in characters], np.uint32)
    if not len(codes) or (np.diff(codes.astype(np.int64)) <= 0).any():
        raise ValueError("its vocabulary is no list of characters in their order")
    return codes


def _names(text: str) -> tuple[str, ...]:
    names = tuple(_text(each) for each in _of(list, json.loads(text)))
    if len(set(names)) < len(names):
        raise ValueError("it has a name twice")
    return names


def _levels(text: str) -> dict[str, tuple[str, ...]]:
    return {name: _names(json.dumps(each)) for name, each in _of(dict, json.loads(text)).items()}


def _fill(notes: Mapping[str, str]) -> Fill | None:
    if "fill" not in notes:
        return None
    values = np.array(json.loads(notes["fill"]), np.float64)
    if not np.isfinite(values).all():
        raise ValueError("its means for what is missing are not finite")
    return Fill(values)


def _check(request: Request) -> None:
    """Raise ValueError unless a request is one that a run may have."""
    _of(str, request.data)
    if not all(each is None or 0 <= each < 1 for each in (request.test, request.validation)):
        raise ValueError("its recipe sets no part of the data aside")
    if request.normalize not in NORMALIZATIONS:
        raise ValueError(f"there is no normalization {str(request.normalize)[:40]!r}")


def _plain(value: Any, kind: Any) -> Any:
    """Return a value of a request; raise TypeError unless it is of the ``kind`` that it is declared as."""
    kinds = get_args(kind) or (kind,)
    if type(value) in kinds or (float in kinds and type(value) is int):
        return value
    wanted = " or ".join(each.__name__ for each in kinds if each is not type(None))
    raise TypeError(f"expected {wanted}, found {type(value).__name__}")


def _text(value: Any) -> str:
    """Return a text of characters; raise an error for half of a surrogate pair, which no file can hold."""
    text: str = _of(str, value)
    text.encode()
    return text


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _number(value: Any) -> int:
    if not 0 <= _of(int, value) < 2**32:
        raise ValueError(f"expected a checksum, found {value}")
    return int(value)


def _perhaps(value: Any) -> int | None:
    return None if value is None else _number(value)
