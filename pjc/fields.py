"""How an option is declared, once: what it takes, its help and its group stand on its field.

``step: float = option(1.0, kind=Number(above=0, high=2), help="..")`` in a dataclass is all that the command
line, the checks of the Python API, the reference page and the record of a file need: they go through
:func:`options_of`. Imports nothing of pjc but its errors and how numbers are read.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import numbers
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from pjc.diagnostics import DiagnosticError, mistake
from pjc.numerals import decimal, whole

T = TypeVar("T")

_OPTION = "pjc option"
_PART = "pjc part"
LARGEST = 2**31 - 1
MAX_NUMBER = 2**62
"""The largest number of the language, by magnitude: sizes are 64-bit integers."""
LARGEST_F32 = (2 - 2**-23) * 2.0**127
"""The largest number of type f32: what is larger becomes infinite in it."""


class Kind:
    """What values an option takes: how they are read from text, and checked where they come from Python.

    ``read`` and ``check`` return the value, and raise ValueError for any other; a DiagnosticError in its
    stead says more than :meth:`refusal` would.
    """

    metavar: str | None = None
    repeated = False
    """Whether the option may be given several times; ``read`` then gets a list of texts."""
    switch = False
    """Whether the option takes no value on the command line."""

    @property
    def wanted(self) -> str:
        """What is expected, as in "a whole number from 1"."""
        return "a text"

    @property
    def words(self) -> tuple[str, ...]:
        """The words that a shell completes it by; none where they cannot be listed."""
        return ()

    def read(self, text: Any) -> Any:
        """Return the value that a text of the command line stands for."""
        return self.check(text)

    def check(self, value: Any) -> Any:
        """Return a value given in Python as it is kept."""
        raise NotImplementedError

    def plain(self, value: Any) -> Any:
        """Return a kept value as JSON holds it, such that ``check`` takes it again."""
        return value

    def refusal(self, name: str, value: Any) -> tuple[str, str | None]:
        """Return what is wrong with a value, as it follows ``name: ``, and a hint."""
        why = ", which is too large for f32" if _overflows(value) else ""
        return f"expected {self.wanted}, found {value!r}{why}", None


@dataclass(frozen=True)
class Number(Kind):
    """A finite number, whole or not, in a range; ``but`` is excluded from it."""

    whole: bool = False
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    but: float | None = None
    of: str = ""
    """What is counted, as in "seconds"."""
    metavar: str = "N"

    @property
    def wanted(self) -> str:
        words = "a whole number" if self.whole else "a number"
        words += f" of {self.of}" if self.of else ""
        words += f" from {self.low:.10g}" if self.low is not None else ""
        words += f" above {self.above:g}" if self.above is not None else ""
        if self.high is not None:
            words += f" to {self.high:.10g}" if self.low is not None else f", at most {self.high:.10g}"
        if self.below is not None:
            words += f" to below {self.below:g}" if self.low is not None else f", below {self.below:g}"
        return words + (f", other than {self.but:g}" if self.but is not None else "")

    def read(self, text: str) -> float:
        return self.check(whole(text) if self.whole else decimal(text))

    def check(self, value: Any) -> float:
        kind = numbers.Integral if self.whole else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind):
            raise ValueError
        found = int(value) if isinstance(value, numbers.Integral) and self.whole else float(value)
        if not math.isfinite(found) or abs(found) > LARGEST_F32 or not self._fits(found):
            raise ValueError
        return found

    def refusal(self, name: str, value: Any) -> tuple[str, str | None]:
        message, hint = super().refusal(name, value)
        digits = str(value).lstrip("+")
        if self.whole and self.high is None and digits.isdecimal() and len(digits) > 9:
            return message.replace(", found", f", at most {LARGEST}, found", 1), hint
        return message, hint

    def _fits(self, value: float) -> bool:
        high = LARGEST if self.whole and self.high is None else self.high
        return (
            (self.low is None or value >= self.low)
            and (high is None or value <= high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and value != self.but
        )


def _overflows(value: Any) -> bool:
    """Return whether a value, or what a text says, has a finite number that f32 cannot hold."""
    if isinstance(value, Mapping | list | tuple):
        return any(map(_overflows, value.values() if isinstance(value, Mapping) else value))
    try:
        number = decimal(value.rpartition("=")[2]) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return LARGEST_F32 < abs(number) < math.inf


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words or whole numbers."""

    among: tuple[str | int, ...]

    @property
    def metavar(self) -> str:  # type: ignore[override]
        """The words, in braces."""
        return "{" + ",".join(map(str, self.among)) + "}"

    @property
    def wanted(self) -> str:
        *most, last = map(str, self.among)
        return f"{', '.join(most)} or {last}"

    @property
    def words(self) -> tuple[str, ...]:
        return tuple(map(str, self.among))

    def read(self, text: str) -> str | int:
        return {str(each): each for each in self.among}[text] if text in map(str, self.among) else self._no()

    def check(self, value: Any) -> str | int:
        for each in self.among:
            same = numbers.Integral if isinstance(each, int) else str
            if isinstance(value, same) and not isinstance(value, bool) and value == each:
                return each
        return self._no()

    @staticmethod
    def _no() -> str:
        raise ValueError

    def refusal(self, name: str, value: Any) -> tuple[str, str | None]:
        if not isinstance(value, str) or not isinstance(self.among[0], str):
            return super().refusal(name, value)
        return f"unknown {name} '{value}'", f"known are {', '.join(map(str, self.among))}"


@dataclass(frozen=True)
class Switch(Kind):
    """On or off; on the command line an option without a value."""

    switch = True

    @property
    def wanted(self) -> str:
        return "True or False"

    def check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value


@dataclass(frozen=True)
class Text(Kind):
    """Any text; several where the option is ``repeated``."""

    metavar: str | None = "TEXT"
    repeated: bool = False

    @property
    def wanted(self) -> str:
        return "a list of texts" if self.repeated else "a text"

    def check(self, value: Any) -> Any:
        if not self.repeated:
            if not isinstance(value, str | os.PathLike):
                raise ValueError
            return os.fspath(value)
        if isinstance(value, str) or not all(isinstance(each, str) for each in value):
            raise ValueError
        return tuple(value)


@dataclass(frozen=True)
class Option:
    """An option as its field declares it."""

    name: str
    default: Any
    kind: Kind
    told: str | Callable[[], str]
    group: str
    flags: tuple[str, ...]
    """How the command line names it; none for an argument that is told by its place."""
    shown: str | Callable[[], str] | None
    """What the help says of the default; None for the default itself, "" for nothing."""
    metavar: str | None
    compared: bool
    """Whether a run that is resumed must have it as before."""
    since: str | None
    """The first stage of the compiler that it makes a difference to; None for one before them."""
    until: str | None
    """The last stage at which a source may start for it to make a difference; None for any."""
    required: bool

    @property
    def help(self) -> str:
        """What it does, with its default."""
        told = self.told() if callable(self.told) else self.told
        if self.shown == "" or (self.shown is None and (self.default in (None, (), {}) or self.required)):
            return told
        return f"{told} (default: {self.shown_default})"

    @property
    def shown_default(self) -> str:
        """The default as the help says it."""
        if self.shown is not None:
            return self.shown() if callable(self.shown) else self.shown
        if isinstance(self.default, tuple):
            return " ".join(map(str, self.default))
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    def check(self, value: Any) -> Any:
        """Return a value that Python gives as it is kept; the default passes as it is.

        Raises:
            DiagnosticError: if it is none of those that the option takes.
        """
        if value is None and self.default is None:
            return None
        try:
            return self.kind.check(value)
        except DiagnosticError:
            raise
        except (ValueError, TypeError, KeyError, OverflowError):
            message, hint = self.kind.refusal(self.name, value)
            named = message if message.startswith("unknown ") else f"{self.name}: {message}"
            raise mistake(named, hint) from None

    def read(self, text: str | list[str]) -> Any:
        """Return the value of the command line's text, or of its texts.

        Raises:
            DiagnosticError: with the words of :meth:`check`.
        """
        try:
            return self.kind.read(text)
        except DiagnosticError:
            raise
        except (ValueError, TypeError, KeyError, OverflowError):
            raise mistake(*self.kind.refusal(self.name, text)) from None


def option(
    default: T,
    *,
    kind: Kind,
    help: str | Callable[[], str],
    group: str = "",
    flags: tuple[str, ...] | None = None,
    shown: str | Callable[[], str] | None = None,
    metavar: str | None = None,
    compared: bool = True,
    since: str | None = None,
    until: str | None = None,
) -> T:
    """Return a dataclass's field with what is known of an option; see :class:`Option`.

    A default that could be changed is copied for each record. ``flags`` are ``--NAME`` by default.
    """
    metadata = {
        "kind": kind,
        "told": help,
        "group": group,
        "flags": flags,
        "shown": shown,
        "metavar": metavar,
        "compared": compared,
        "since": since,
        "until": until,
        "required": False,
    }
    if isinstance(default, dict):
        copied: Any = dataclasses.field(default_factory=default.copy, metadata={_OPTION: metadata})
        return cast(T, copied)
    return dataclasses.field(default=default, metadata={_OPTION: metadata})


def required(
    *, kind: Kind, help: str, metavar: str | None = None, flags: tuple[str, ...] = (), group: str = ""
) -> Any:
    """Return the field of an option that must be given; without ``flags`` it is told by its place."""
    like: Any = option(
        None, kind=kind, help=help, group=group, flags=flags, shown="", metavar=metavar, compared=False
    )
    return dataclasses.field(metadata={_OPTION: {**like.metadata[_OPTION], "required": True}})


def like(cls: type, name: str, default: Any = None, **changes: Any) -> Any:
    """Return the field of an option as another record declares it, but for its default and ``changes``."""
    found = {each.name: each for each in dataclasses.fields(cls)}[name]
    return dataclasses.field(default=default, metadata={_OPTION: {**found.metadata[_OPTION], **changes}})


def rest(*, help: str, metavar: str) -> tuple[str, ...]:
    """Return the field of the arguments that follow the others."""
    found: tuple[str, ...] = option(
        (), kind=Text(metavar, repeated=True), help=help, flags=(), shown="", metavar=metavar
    )
    return found


def part(cls: type[T]) -> T:
    """Return the field of a record inside a record: its options are the outer one's too."""
    made: T = dataclasses.field(default_factory=cls, metadata={_PART: cls})
    return made


def options_of(cls: type) -> tuple[Option, ...]:
    """Return the options of a dataclass, in the order of its fields."""
    found = []
    for field in dataclasses.fields(cls):
        if _OPTION not in field.metadata:
            continue
        said = dict(field.metadata[_OPTION])
        if said["flags"] is None:
            said["flags"] = ("--" + field.name.replace("_", "-"),)
        default = None if field.default is dataclasses.MISSING else field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        found.append(Option(field.name, default, **said))
    return tuple(found)


def parts_of(cls: type) -> dict[str, type]:
    """Return the records inside a record, by field."""
    return {each.name: each.metadata[_PART] for each in dataclasses.fields(cls) if _PART in each.metadata}


def check_fields(record: Any) -> None:
    """Check every option of a dataclass, and keep it as its kind does; for ``__post_init__``."""
    for each in options_of(type(record)):
        object.__setattr__(record, each.name, each.check(getattr(record, each.name)))


def plain(record: Any) -> dict[str, Any]:
    """Return the options of a record as JSON holds them."""
    found = {}
    for each in options_of(type(record)):
        value = getattr(record, each.name)
        found[each.name] = None if value is None else each.kind.plain(value)
    return found


def differing(record: Any) -> list[str]:
    """Return the names of the options that are not as they are by default; none of them is required."""
    default = type(record)()
    names = [each.name for each in options_of(type(record))]
    return [name for name in names if getattr(record, name) != getattr(default, name)]


def require_known(cls: type, given: Mapping[str, Any]) -> None:
    """Raise DiagnosticError if a keyword is none of a dataclass's options, with the nearest one."""
    known = [each.name for each in options_of(cls)]
    for name in sorted(given.keys() - set(known)):
        near = nearest(name, known)
        hint = f"did you mean '{near}'?" if near else f"known are {', '.join(known)}"
        raise mistake(f"unknown option '{name}'", hint)


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the word that is most like another one; None if none is."""
    return next(iter(difflib.get_close_matches(word, list(known), 1)), None)
