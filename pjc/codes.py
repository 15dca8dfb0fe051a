"""The kinds of mistakes, each with a code that stays: what it means, an example, and how it is mended.

``codes.toml`` declares them. An error's code is told by where it was raised: the innermost function or module
that a kind names in ``raised``. So a raise says a sentence, and nothing else; and what a module complains of
is listed in one place. A code is never given to another kind: one that is no longer raised is ``retired``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

PREFIX = "PJC"

# Codes of what is complained of where nothing is raised.
CHARACTERS = "PJC0101"
SYNTAX = "PJC0102"
NUMBERS = "PJC0103"
TOO_DEEP = "PJC0104"
SIZES = "PJC0108"
DEFINES = "PJC0109"
INITIALIZERS = "PJC0110"
VALUES = "PJC0113"
CALLS = "PJC0114"
INDICES = "PJC0115"
OUTPUTS = "PJC0117"
BLOCKS = "PJC0119"
LOOPS = "PJC0304"
LOST_PROCESS = "PJC0505"
OPT_INPUT = "PJC0605"
USAGE = "PJC1201"
INTERNAL = "PJC9901"
MEMORY = "PJC9902"
SYSTEM = "PJC9903"


@dataclass(frozen=True)
class Example:
    """What makes a mistake of a kind: one of a network, a command and Python.

    ``network`` is the text of a .pjn file, ``command`` a line of the shell and ``python`` a text that is run;
    ``files`` are the files that it needs beside those of :func:`shared_files`, by name. ``mended`` is the
    same without the mistake.
    """

    network: str | None = None
    command: str | None = None
    python: str | None = None
    mended: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Return what is written, whichever of the three it is."""
        return next(each for each in (self.network, self.command, self.python) if each is not None).strip()

    def needed(self) -> dict[str, str]:
        """Return the files that it names, also those that examples share."""
        written = f"{self.text()}\n{self.mended}"
        shared = {name: text for name, text in shared_files().items() if name in written}
        return {**shared, **self.files}


@dataclass(frozen=True)
class Kind:
    """A kind of mistakes.

    ``raised`` names modules, as ``pjc.mesh``, or what is in them, as ``pjc.reading:measured``. A kind without
    an example is one that nothing short makes; ``why_no_example`` says so.
    """

    code: str
    title: str
    means: str
    mend: str
    raised: tuple[str, ...] = ()
    example: Example | None = None
    why_no_example: str = ""
    retired: bool = False


@cache
def _declared() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("codes.toml").read_text(encoding="utf-8"))


def subjects() -> dict[str, str]:
    """Return what the mistakes are of, by the first two digits of their codes."""
    found: dict[str, str] = _declared()["subjects"]
    return found


def shared_files() -> dict[str, str]:
    """Return the texts of the files that examples of commands name, by name."""
    found: dict[str, str] = _declared()["files"]
    return found


@cache
def kinds() -> dict[str, Kind]:
    """Return the kinds of mistakes by code, in its order."""
    found = {}
    for code, declared in sorted(_declared()["kinds"].items()):
        said = dict(declared)
        example = Example(**said.pop("example")) if "example" in said else None
        raised = tuple(said.pop("raised", ()))
        found[code] = Kind(code=code, raised=raised, example=example, **said)
    return found


@cache
def _homes() -> dict[str, str]:
    """Return the code of each place that a kind names."""
    return {place: code for code, kind in kinds().items() for place in kind.raised}


def code_of_place(module: str, function: str) -> str | None:
    """Return the code of mistakes that a function raises, by its qualified name; None if no kind names it."""
    homes = _homes()
    names = function.split(".")
    inner = (homes.get(f"{module}:{name}") for name in [function, *reversed(names)])
    return next(filter(None, inner), None) or homes.get(module)


def code_of_traceback(traceback: TracebackType | None) -> str | None:
    """Return the code of what was raised with a traceback: that of the innermost place which has one."""
    places = list(_places(traceback))
    return next(filter(None, (code_of_place(*place) for place in reversed(places))), None)


def _places(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Yield the module and the qualified name of each function of pjc, outermost first."""
    while traceback is not None:
        frame = traceback.tb_frame
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith("pjc."):
            yield module, frame.f_code.co_qualname
        traceback = traceback.tb_next
