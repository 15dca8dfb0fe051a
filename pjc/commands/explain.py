"""``pjc explain [CODE]``: what a mistake's code means, with an example, and how it is mended."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pjc.codes import PREFIX, Kind, kinds, subjects
from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import print_json
from pjc.diagnostics import CommandError
from pjc.fields import Switch, Text, nearest, option

_EXAMPLES = """
A mistake is printed as `net.pjn:7:5: error[PJC0105]: ..`; in Python, PjcError.code has the code.

examples:
  pjc explain                              lists all codes
  pjc explain PJC0105
"""

USAGE = Usage(
    prog="pjc explain",
    usage="pjc explain [CODE] [--json]",
    description="Says what the code of a mistake means, with an example, and how it is mended.",
    epilog=_EXAMPLES,
)


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc explain``."""

    code: str | None = option(
        None,
        kind=Text(),
        flags=(),
        metavar="CODE",
        help="the code of a mistake; without one, all are listed",
        shown="",
    )
    json: bool = option(False, kind=Switch(), help="print it as JSON", shown="")


def main(arguments: Sequence[str]) -> int:
    """Print what a code means, or all codes."""
    asked = parse(Arguments, USAGE, arguments)
    found = list(kinds().values()) if asked.code is None else [kind_of(asked.code)]
    if asked.json:
        print_json({"codes": [_record(each) for each in found]})
    else:
        print("\n".join(_listed(found) if asked.code is None else _explained(found[0])))
    return 0


def kind_of(text: str) -> Kind:
    """Return the kind of a code, in capitals or not, with ``PJC`` before its digits or without.

    Raises:
        CommandError: if there is no such code; it names the nearest.
    """
    word = text.strip().upper().removeprefix("ERROR").strip("[]:")
    code = PREFIX + word.removeprefix(PREFIX)
    if code in kinds():
        return kinds()[code]
    near = nearest(code, kinds())
    advice = f"did you mean {near}?" if near else "pjc explain lists all"
    raise CommandError(f"there is no code {text!r}; {advice}")


def _record(kind: Kind) -> dict[str, Any]:
    """Return what a kind says as JSON holds it, with its subject; where it is raised is pjc's own affair."""
    found = {name: value for name, value in asdict(kind).items() if name != "raised"}
    return {**found, "subject": _subject(kind)}


def _subject(kind: Kind) -> str:
    return subjects()[kind.code.removeprefix(PREFIX)[:2]]


def _listed(found: Sequence[Kind]) -> list[str]:
    """Return a line for each kind, under its subject."""
    lines: list[str] = []
    for kind in found:
        subject = _subject(kind)
        if subject not in lines:
            lines += [*([""] if lines else []), subject]
        lines.append(f"  {kind.code}  {kind.title}{' (no longer raised)' if kind.retired else ''}")
    return lines


def _explained(kind: Kind) -> list[str]:
    """Return what a kind means in lines of 100 columns."""
    lines = [f"{kind.code}: {kind.title}", "", *textwrap.wrap(" ".join(kind.means.split()), 100)]
    if kind.retired:
        lines += ["", "This pjc does not say so any more."]
    lines += ["", *textwrap.wrap(f"What to do: {' '.join(kind.mend.split())}", 100)]
    example = kind.example
    if example is None:
        return [*lines, "", f"There is no short example: {kind.why_no_example}."]
    lines += ["", "This makes it:", "", textwrap.indent(example.text(), "    ")]
    for name, text in example.needed().items():
        lines += ["", f"With {name}:", "", textwrap.indent(text.strip(), "    ")]
    if example.mended is not None:
        lines += ["", "And this does not:", "", textwrap.indent(example.mended.strip(), "    ")]
    return lines
