"""The sources of data, one a module; whatever module stands in this package is found.

To list them imports no NumPy. See ``pjc.runtime.data.source`` for what such a module holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from ..errors import DataError, require_file
from ..source import OPTIONS, SOURCES, Source

for _name in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_name}")


def find(spec: str) -> Source:
    """Return the source that ``spec`` is of; raises DataError, which lists all, where there is none."""
    found = next(_candidates(spec), None)
    if found is not None:
        return found
    path = Path(spec)
    if not path.exists() and path.name == spec and not path.suffix:
        raise DataError(f"there is no data called {spec!r}: expected {expected()}")
    require_file(path)
    raise DataError(f"{spec} is no data that pjc reads: expected {expected()}")


def files_of(spec: str) -> tuple[str, ...]:
    """Return the paths that ``spec`` names: none for data that has a name; raises nothing."""
    found = next(_candidates(spec), None)
    return (spec,) if found is None else found.files(spec)


def _candidates(spec: str) -> Iterator[Source]:
    """Yield the sources that ``spec`` may be of, the surest first; see Source."""
    lowered = spec.lower()
    yield from (each for each in SOURCES if each.word and spec == each.word)
    yield from (each for each in SOURCES if each.prefix and spec.startswith(each.prefix))
    yield from (each for each in SOURCES if each.suffixes and lowered.endswith(each.suffixes))
    yield from (each for each in SOURCES if each.recognises(spec))


def expected() -> str:
    """Return how data can be named, as it stands in a sentence."""
    named = [each.forms[0].written for each in SOURCES if not each.is_path]
    *paths, last = [each.what for each in SOURCES if each.is_path]
    return f"{', '.join(named)}, or the path of {', '.join(paths)} or {last}"


def help_lines() -> list[str]:
    """Return a line for each way to name data, in two columns."""
    forms = [form for source in _listed() for form in source.forms]
    width = max(len(written) for written, _ in forms)
    return [f"{written:<{width}}  {said}" for written, said in forms]


def table() -> list[str]:
    """Return the lines of a table in Markdown: how data is named, what it is, which options it takes."""
    lines = ["| source | what it is | options |", "|---|---|---|"]
    for source in _listed():
        flags = ", ".join(f"`{option.flag}`" for name, option in OPTIONS.items() if name in source.takes)
        lines += (f"| `{written}` | {said} | {flags} |" for written, said in source.forms)
    return lines


def _listed() -> list[Source]:
    """Return the sources as they are shown: those with a word or prefix of their own first."""
    return sorted(SOURCES, key=lambda source: source.is_path)
