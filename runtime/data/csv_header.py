"""The first line of a table that is text: which columns there are, and what each is for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pjc.numerals import decimal

from .errors import DataError
from .parts import Request

_UNNAMED = "Unnamed: 0"
"""What pandas calls the index that it wrote, when it has read it again."""
_COUNTED = 3
"""So many columns called 0, 1, 2 and so on have names: pandas numbers them so where they had none."""


@dataclass(frozen=True)
class Header:
    """The names of all columns, and the places of those that are targets, weights, an index, or features.

    There is no target where they are not looked at.
    ``index`` is the place of a first column without a name, which is left out where it numbers the rows, and
    ``nameless`` those of others, which are left out where they are empty, as behind a last delimiter;
    ``categorical`` has the places of features that hold names whatever they look like.
    """

    names: list[str]
    targets: list[int]
    weights: int | None
    index: int | None
    nameless: list[int]
    categorical: frozenset[int]
    features: list[int]
    remarks: tuple[str, ...] = ()

    @staticmethod
    def of(first: list[str], path: Path, asked: Request, labelled: bool = True) -> Header:
        """Return what the first line of a file says, for a run that asks so; raises DataError.

        Unless ``labelled``, columns of targets and weights need not be there, and are left out.
        """
        if not any(first):
            raise DataError(f"{path}:1: the first line must name the columns")
        if asked.no_header:
            names, index = [str(place + 1) for place in range(len(first))], None
        else:
            names = first
            _require_names(first, path)
            index = None if first[0] else 0
        nameless = [place for place, name in enumerate(names) if place and not name]
        where = _Columns(names, path)
        aside: list[int] = []
        if labelled:
            targets = where.targets(asked.target)
            weights = where.asked(asked, "weights")
        else:
            targets, weights = [], []
            aside = [*where.there(asked.target), *where.there(asked.weights)]
        if len(weights) > 1:
            raise DataError(f"--weights names {len(weights)} columns; weights are numbers of one")
        ignored = set(where.asked(asked, "ignore"))
        categorical = where.asked(asked, "categorical")
        apart = {*targets, *weights, *aside}
        for flag, places in (("--ignore", ignored), ("--categorical", categorical)):
            for place in places:
                if place in apart:
                    raise DataError(f"{flag} names the column {names[place]!r}, which is no feature")
        if weights and weights[0] in targets:
            raise DataError(f"--weights names the column {names[weights[0]]!r}, which holds the targets")
        said: tuple[str, ...] = ()
        if labelled and asked.weights is not None and not weights:
            said = (f"{path}: all rows count alike, as there is no column {asked.weights!r} of weights",)
        if names[0] == _UNNAMED and 0 not in apart | ignored | set(categorical):
            ignored.add(0)
            said += (f"{path}: the column {_UNNAMED!r} is left out, as it is an index that pandas wrote",)
        apart |= ignored | ({index} if index is not None else set()) | set(nameless)
        features = [place for place in range(len(names)) if place not in apart]
        if not features:
            raise DataError(f"{path}:1: there is no column besides the target {where.shown!r}")
        weight = weights[0] if weights else None
        return Header(names, targets, weight, index, nameless, frozenset(categorical), features, said)


def unnamed(path: Path, place: int) -> DataError:
    """Return what is said of a column without a name that is not empty and does not number the rows."""
    return DataError(
        f"{path}:1: column {place + 1} has no name; name it, or remove it (pandas writes its index "
        "so, unless it gets index=False)"
    )


def _require_names(first: list[str], path: Path) -> None:
    """Raise DataError where entries of a first line are numbers, or one name is there twice."""
    if all(map(_is_number, filter(None, first))) and not _is_counted(first):
        raise DataError(
            f"{path}:1: the first line holds numbers where names of columns are expected; has the file no "
            "header? --no-header calls the columns 1, 2, .."
        )
    seen = set[str]()
    for name in filter(None, first):
        if name in seen:
            raise DataError(
                f"{path}:1: two columns are called {name!r}; give each its own name{_advice(first)}"
            )
        seen.add(name)


def _is_number(name: str) -> bool:
    try:
        decimal(name.replace(",", "."))
    except ValueError:
        return False
    return True


def _is_counted(first: list[str]) -> bool:
    """Return whether columns are called 0, 1, 2 and so on, perhaps after one without a name."""
    names = first if first[0] else first[1:]
    return len(names) >= _COUNTED and names == [str(place) for place in range(len(names))]


def _advice(first: list[str]) -> str:
    """Return what may be wrong where a first line has numbers in it, as a sentence goes on."""
    return (
        "; has the file no header? --no-header calls the columns 1, 2, .."
        if any(map(_is_number, first)) and not _is_counted(first)
        else ""
    )


@dataclass(frozen=True)
class _Columns:
    """The names of the columns of a file."""

    names: list[str]
    path: Path

    @property
    def shown(self) -> str:
        """The names, as they are listed in a sentence."""
        names = list(filter(None, self.names))
        return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")

    def targets(self, target: str | None) -> list[int]:
        """Return the places of the target columns."""
        if target is None:
            raise DataError(
                f"{self.path}: name the column that holds the targets with --target; the columns are "
                f"{self.shown}{_advice(self.names)}"
            )
        return self.places(target, "--target")

    def asked(self, asked: Request, option: str) -> list[int]:
        """Return the places of the columns that an option names; of an inherited one, of those there are."""
        wanted = getattr(asked, option)
        return self.there(wanted) if option in asked.inherited else self.places(wanted, f"--{option}")

    def there(self, wanted: str | None) -> list[int]:
        """Return the places of those columns that there are, of what an option names."""
        return [self.names.index(name) for name in self._split(wanted) if name in self.names]

    def _split(self, wanted: str | None) -> list[str]:
        if wanted is None:
            return []
        return [wanted] if wanted in self.names else [name.strip() for name in wanted.split(",")]

    def places(self, wanted: str | None, flag: str) -> list[int]:
        """Return the places of the columns that an option names, with commas between."""
        names = self._split(wanted)
        for name in names:
            if name not in self.names or not name:
                raise DataError(f"{self.path}:1: there is no column {name!r}; {self._near(name)}")
            if names.count(name) > 1:
                raise DataError(f"{flag} names the column {name!r} twice")
        return [self.names.index(name) for name in names]

    def _near(self, name: str) -> str:
        """Return what may be meant by a name that no column has."""
        near: Sequence[str] = difflib.get_close_matches(name, self.names, 1)
        if near:
            return f"did you mean {near[0]!r}?"
        if len(self.names) == 1:
            return f"the only column is {self.shown!r}; --delimiter says what separates columns"
        return f"the columns are {self.shown}{_advice(self.names)}"
