"""Writes what the documentation takes from the code: ``python docs/reference.py``.

docs/passes.md from the docstrings of the passes, docs/constraints.md from those of ops and projections,
docs/options.md from the fields of the options, the table of docs/data.md from the sources of data, that of
docs/python.md from what compiles the primitives of JAX, those of docs/language.md from the sets and from what
stands in for functions, and the TextMate grammars in editors/ from the rules of pjc/highlight.py.
tests/test_docs.py holds the pages to them.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from pjc.dialects.ops import LOSSES as LOSS_OPS
from pjc.dialects.ops import OPERATIONS, operator_of
from pjc.dialects.sets import SETS as SET_KINDS
from pjc.fields import Option, options_of
from pjc.highlight import textmate_grammars
from pjc.options import Options
from pjc.runtime.data.sources import table
from pjc.runtime.projections import LOSSES, OPERATORS, SETS
from pjc.standins import known_names, standin_in_language
from pjc.tracing import trace  # noqa: F401  it enters what compiles primitives
from pjc.tracing.walk import NOTES
from pjc.universe import PASSES, pass_factory

HEAD = """# Passes

In the order of the pipeline. `pjc opt FILE -p PASS,PASS{option=value}` runs any of them; a pass may be named
without its dialect. This page is generated from the docstrings by docs/reference.py.
"""


def options(cls: type) -> list[str]:
    """Return a line for each option of a pass: name, default, and the docstring under the field."""
    lines = inspect.getsource(cls).splitlines()
    found = []
    for option in fields(cls):
        at = next(i for i, line in enumerate(lines) if line.strip().startswith(f"{option.name}:"))
        said = lines[at + 1].strip().strip('"')
        found.append(f"- `{option.name.replace('_', '-')}` (default `{option.default}`): {said}")
    return found


def page() -> str:
    """Return the text of docs/passes.md."""
    parts = [HEAD]
    for name in PASSES:
        cls = pass_factory(name)()
        parts.append(f"## {name}\n\n{inspect.getdoc(cls)}\n")
        if listed := options(cls):
            parts.append("Options:\n\n" + "\n".join(listed) + "\n")
    return "\n".join(parts)


OPTIONS_HEAD = """# Options

How to compile: as options of `pjc` and `pjc train`, and as keywords of `pjc.compile` and `pjc.Options`. A
value that is out of its range is refused, and so is an option that the chosen [solver](solvers.md) or source
does not use. This page is generated from the fields of `Options` by docs/reference.py.
"""


def options_page(cls: type = Options) -> str:
    """Return the text of docs/options.md."""
    found = options_of(cls)
    parts = [OPTIONS_HEAD]
    for group in dict.fromkeys(each.group for each in found):
        parts.append(f"## {group[0].upper()}{group[1:]}\n")
        parts.append("| command line | Python | takes | default | |\n|---|---|---|---|---|")
        parts += [_row(each) for each in found if each.group == group]
        parts.append("")
    return "\n".join(parts)


def _row(option: Option) -> str:
    metavar = option.metavar or option.kind.metavar
    flags = ", ".join(f"`{flag}`" for flag in option.flags) + (f" {metavar}" if metavar else "")
    told = option.told() if callable(option.told) else option.told
    default = option.shown_default if option.default not in (None, ()) or option.shown else ""
    cells = (flags, f"`{option.name}`", option.kind.wanted, default, told)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


CONSTRAINTS_HEAD = """# Constraints

What a problem is made of: operations, losses and sets, as their ops and their projections say it. In a
network an operation computes; in a problem it is the constraint that its operands and its result must
satisfy. This page is generated from the docstrings of `dialects/` and `runtime/projections/` by
docs/reference.py.
"""


def constraints_page() -> str:
    """Return the text of docs/constraints.md."""
    parts = [CONSTRAINTS_HEAD, "## Operations\n"]
    parts += [_constraint(op, OPERATORS.get(operator_of(op))) for op in OPERATIONS]
    parts += ["## Losses\n", *(_constraint(op, LOSSES[operator_of(op)]) for op in LOSS_OPS), "## Sets\n"]
    for name, kind in SET_KINDS.items():
        arguments = ", ".join(argument.name for argument in kind.arguments)
        parts.append(f"### {name}({arguments})\n\n{_said(SETS[name])}\n")
    return "\n".join(parts)


def _constraint(op: type, projection: type | None) -> str:
    """Return what an op says of itself, and what the file of its projection says of that."""
    parts = [f"### {operator_of(op)}\n", _plain(inspect.getdoc(op)) + "\n"]
    if projection is not None:
        parts.append(_said(projection) + "\n")
    return "\n".join(parts)


def _said(projection: type) -> str:
    """Return what the file of a projection says, or its class where that shares a file with others."""
    own = projection.__module__.rpartition(".")[2] == projection.name  # type: ignore[attr-defined]
    return _plain(inspect.getdoc(inspect.getmodule(projection) if own else projection))


def _plain(docstring: str | None) -> str:
    """Return a docstring as Markdown."""
    return (docstring or "").replace("``", "`")


def with_table(page: str) -> str:
    """Return the text of docs/data.md with the table between its marks written anew."""
    return _between("sources", page, table())


def with_primitives(page: str) -> str:
    """Return the text of docs/python.md with the table between its marks written anew."""
    by_note: dict[str, list[str]] = {}
    for primitive, note in sorted(NOTES.items()):
        by_note.setdefault(note, []).append(f"`{primitive}`")
    rows = sorted(f"| {', '.join(names)} | {note} |" for note, names in by_note.items())
    return _between("primitives", page, ["| primitives | become |", "|---|---|", *rows])


def with_standins(page: str) -> str:
    """Return the text of docs/language.md with the table between its marks written anew."""
    rows = {each: None for each in map(standin_in_language, known_names()) if each and each.lacking}
    told = [f"| `{each.name}` | {each.language} |" for each in rows]
    return _between("standins", page, ["| function | instead |", "|---|---|", *told])


def grammar_files() -> dict[str, str]:
    """Return the texts of the grammars for editors by the names of their files."""
    return {
        name: json.dumps(grammar, indent=2, ensure_ascii=False) + "\n"
        for name, grammar in textmate_grammars().items()
    }


def with_sets(page: str) -> str:
    """Return the text of docs/language.md with the table of sets between its marks written anew."""
    rows = [f"| `{kind.signature(name)}` | {kind.holds} |" for name, kind in SET_KINDS.items()]
    return _between("sets", page, ["| set | holds |", "|---|---|", *rows])


def _between(mark: str, page: str, lines: Sequence[str]) -> str:
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    end, after = rest.partition(f"<!-- end of {mark} -->\n")[1:]
    return before + begin + "\n".join(lines) + "\n" + end + after


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    (folder / "passes.md").write_text(page())
    (folder / "data.md").write_text(with_table((folder / "data.md").read_text()))
    (folder / "python.md").write_text(with_primitives((folder / "python.md").read_text()))
    (folder / "language.md").write_text(with_sets(with_standins((folder / "language.md").read_text())))
    (folder / "options.md").write_text(options_page())
    (folder / "constraints.md").write_text(constraints_page())
    (folder.parent / "editors").mkdir(exist_ok=True)
    for name, text in grammar_files().items():
        (folder.parent / "editors" / name).write_text(text, encoding="utf-8")
