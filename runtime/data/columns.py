"""The columns of a table that is text, while it is read: numbers, or names of categories."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from pjc.numerals import decimal, whole

from .errors import DataError

MAX_LEVELS = 1000
"""The most categories that a column may have: each is a feature."""
_MISSING = frozenset(
    (
        "",
        "?",
        "NA",
        "N/A",
        "n/a",
        "#N/A",
        "#N/A N/A",
        "#NA",
        "<NA>",
        "NaN",
        "nan",
        "-NaN",
        "-nan",
        "NULL",
        "null",
    )
)
"""What stands where a value is missing: what pandas takes for that, and the question mark of UCI's tables."""
_NONE = frozenset({"None"})
"""What stands for a missing number, but may also be the name of a category."""
_APART = re.compile(r"[+-]?\d{1,3}([.,' ]\d{3})+([.,]\d*)?")
"""What is a number of thousands that are set apart."""
_BETWEEN = "\0"
"""What no number has in it."""
_MONTHS = (
    "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?|"
    "nov(ember)?|dec(ember)?"
)
_NUMBERLIKE = re.compile(rf"[+-]?[$€£]?\.?\d|(?i:(?:{_MONTHS})[. -]+\d)")
"""How texts begin that are numbers in some way: dates, amounts, digits of any script."""
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
"""What is a number with a decimal comma, and one of whole thousands."""


def is_missing(text: str, number: bool) -> bool:
    """Return whether a text stands for a missing value, among numbers or among names."""
    return text in _MISSING or (number and text in _NONE)


class Numerals:
    """How a table writes numbers: with the decimal mark asked for, or the first that it uses."""

    def __init__(self, mark: str | None, asked: bool = False) -> None:
        self.mark = mark
        self.asked = asked
        self.doubtful: str | None = None
        """A number with a comma, where all such may be whole thousands."""

    def read(self, text: str) -> float:
        """Return the number that a text is; raises ValueError for any other."""
        if self.mark == ".":
            return decimal(text)
        if "," not in text:
            value = decimal(text)
            if "." in text:
                if self.mark == ",":
                    raise ValueError
                self.mark = "."
            return value
        value = decimal(text.replace(",", ".")) if "." not in text else decimal(text)
        if self.mark is None:
            self.mark, self.doubtful = ",", text
        if self.doubtful is not None and not _THOUSANDS.fullmatch(text):
            self.doubtful = None
        return value

    def read_all(self, texts: Sequence[str]) -> list[float]:
        """Return the numbers that texts are; raises ValueError where one is none.

        What :meth:`read` looks for in each is looked for in all at once.
        """
        joined = _BETWEEN.join(texts)
        if self.mark is None or self.doubtful is not None or not joined.isascii() or "_" in joined:
            return list(map(self.read, texts))
        if self.mark == "." or "," not in joined:
            if self.mark == "," and "." in joined:
                raise ValueError
            return list(map(float, texts))
        if "." in joined or joined.count(_BETWEEN) >= len(texts):
            raise ValueError
        return list(map(float, joined.replace(",", ".").split(_BETWEEN)))

    def advice(self, text: str) -> str:
        """Return what can be done where a text is no number, as a sentence goes on; perhaps nothing."""
        other = "," if self.mark in (".", None) else "."
        try:
            Numerals(other).read(text)
        except ValueError:
            apart = _APART.fullmatch(text) is not None
            return "; marks that set thousands apart are not read: remove them" if apart else ""
        return f"; --decimal {other} reads it as one"

    def require_sure(self, where: str) -> None:
        """Raise DataError where commas may be decimal or of thousands."""
        if self.doubtful is not None and not self.asked:
            raise DataError(
                f"{where}: the comma in numbers such as {self.doubtful!r} may be decimal, or set thousands "
                "apart; --decimal , says the former, and thousands are not read: remove the commas"
            )


class Column:
    """A column of features while it is read: it has a number for each entry, NaN where the value is missing.

    What the first entry is tells what all are: numbers, or names of categories, which are numbered as they
    come. Where the two are mixed, ``categorical`` says that all are names. ``numeric`` takes numbers alone.
    """

    def __init__(
        self, name: str, numerals: Numerals, categorical: bool = False, numeric: bool = False
    ) -> None:
        self.name = name
        self.numerals = numerals
        self.asked = categorical
        self.numeric = numeric
        self.is_number: bool | None = True if numeric else False if categorical else None
        self.levels: dict[str, int] = {}
        self.numbers_from = 0
        """The entries before this one are missing: numbers begin here."""
        self.count = 0

    def read(self, entries: Sequence[str], lines: Sequence[int], where: str) -> list[float]:
        """Return the numbers of the next entries, which stand in ``lines`` of the file ``where``.

        Raises DataError, with the line, for an entry that does not go with the others.
        """
        found: list[float] = []
        if self.is_number:
            try:
                found = self.numerals.read_all(entries)
            except ValueError:
                found = []
        if not found:
            for entry, line in zip(entries, lines, strict=True):
                undecided = self.is_number is None
                found.append(self._one(entry.strip(), where, line))
                if undecided and self.is_number:
                    self.numbers_from = self.count + len(found) - 1
        self.count += len(entries)
        return found

    def names(self) -> list[str] | None:
        """Return the categories in the order of their numbers, or None for numbers and for nothing at all."""
        return None if self.is_number or not self.levels else list(self.levels)

    def _one(self, text: str, where: str, line: int) -> float:
        """Return the number of one entry."""
        if "\0" in text:
            raise DataError(f"{where}:{line}: column {self.name!r} holds a NUL byte")
        if is_missing(text, self.is_number is True):
            return math.nan
        if self.is_number is None and text not in _NONE:
            self._decide(text)
        if self.is_number:
            try:
                return self.numerals.read(text)
            except ValueError:
                self._refuse(text, f"{where}:{line}", "which is not a number")
        number = self.levels.get(text)
        return float(self._new(text, f"{where}:{line}") if number is None else number)

    def _decide(self, text: str) -> None:
        """Note what the column holds, by its first entry."""
        try:
            self.numerals.read(text)
        except ValueError:
            # A date or an amount is most likely a number that is written otherwise.
            self.is_number = bool(_NUMBERLIKE.match(text))
        else:
            self.is_number = True
        if self.is_number:
            self.levels.clear()

    def _new(self, text: str, where: str) -> int:
        """Return the number of a category that was not met before."""
        if not self.asked and _NUMBERLIKE.match(text) and self.is_number is not None:
            self._refuse(text, where, f"among names such as {next(iter(self.levels), '')!r}")
        if len(self.levels) >= MAX_LEVELS:
            raise DataError(
                f"{where}: column {self.name!r} has more than {MAX_LEVELS} different texts, too many for "
                f"categories; --ignore {self.name!r} leaves it out"
            )
        return self.levels.setdefault(text, len(self.levels))

    def _refuse(self, text: str, where: str, wrong: str) -> NoReturn:
        advice = self.numerals.advice(text) if self.is_number else ""
        raise DataError(
            f"{where}: column {self.name!r} holds {text[:40]!r}, {wrong}{advice}"
            + ("" if advice or self.numeric else f"; --categorical {self.name!r} takes all of it as names")
        )


class Reads(Protocol):
    """A column while it is read."""

    def read(self, entries: Sequence[str], lines: Sequence[int], where: str) -> list[float]:
        """Return a number for each of the next entries, which stand in ``lines`` of the file ``where``."""


class Labels:
    """The column of the targets while it is read: a number for each text, which stands once.

    With ``names`` all are names of classes, those too that could be numbers.
    """

    def __init__(self, name: str, numerals: Numerals, names: bool = False) -> None:
        self.name = name
        self.numerals = numerals
        self.names = names
        self.known: dict[str, int] = {}

    def read(self, entries: Sequence[str], lines: Sequence[int], where: str) -> list[float]:
        """Return the numbers of the next entries; raises DataError for a NUL byte."""
        found = []
        for entry, line in zip(entries, lines, strict=True):
            text = entry.strip()
            number = self.known.get(text)
            if number is None:
                if "\0" in text:
                    raise DataError(f"{where}:{line}: the target {self.name!r} holds a NUL byte")
                number = self.known.setdefault(text, len(self.known))
            found.append(float(number))
        return found

    def typed(self, where: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the distinct targets, typed, in the order of their numbers, and which stand for none.

        Those are 0, or an empty text. Raises DataError for targets that may be numbers or names.
        """
        texts = list(self.known)
        number = not self.names
        held = [text for text in texts if not is_missing(text, number)]
        found = typed_targets(held, self._number(held, where)) if number else np.array(held or [""])
        if found.dtype.kind == "U" or not held:
            number = False
            held = [text for text in texts if not is_missing(text, number)]
            found = np.array(held or [""])
        lacking = np.array([is_missing(text, number) for text in texts])
        typed = np.zeros(len(texts), found.dtype)
        typed[~lacking] = found[: len(held)]
        return typed, lacking

    def _number(self, held: Sequence[str], where: str) -> Callable[[str], float]:
        """Return how numbers among the targets are read, with the decimal mark that all of them have."""
        for mark in dict.fromkeys((self.numerals.mark, ".", ",")):
            trial = Numerals(mark, self.numerals.asked)
            try:
                for text in held:
                    trial.read(text)
            except ValueError:
                continue
            if mark == self.numerals.mark or self.numerals.mark is None:
                trial.require_sure(where)
                return trial.read
            if not self.numerals.asked:
                raise DataError(
                    f"{where}: the target {self.name!r} holds {held[0][:40]!r}, a number with the decimal "
                    f"mark {mark!r} where others have {self.numerals.mark!r}; --decimal {mark} reads it as "
                    f"one, --decimal {self.numerals.mark} as a name"
                )
        return decimal


def typed_targets(texts: list[str], number: Callable[[str], float] = decimal) -> NDArray[Any]:
    """Return class numbers, numbers or strings, the first that fits all the targets."""
    for kind, dtype in ((whole, np.int64), (number, np.float64)):
        try:
            return np.array([kind(text) for text in texts], dtype)
        except (ValueError, OverflowError):
            continue
    return np.array(texts)
