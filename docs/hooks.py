"""Hooks of the site (``mkdocs build --strict``): files outside of docs/, and pages made from the source.

The README is the first page. Files of the repository that pages link to become pages or pictures under
``files/``. What no page in docs/ holds is made anew at each build: the dialects, the help of each command,
and the list of what ``import pjc`` offers.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import json
import os
import re
import runpy
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "build" / "package"
"""A copy of the package as it is installed, which mkdocstrings reads."""

LINK = re.compile(r"\]\((?![a-z]+:|#)([^()\s#]+)(#[^()\s]*)?\)")
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
ROLE = re.compile(r":(?:attr|class|func|meth|mod):`~?([^`]+)`")
ALWAYS = ("CONTRIBUTING.md", "CHANGELOG.md")
"""Files of the repository that the navigation names."""
PICTURES = (".png", ".svg")
LANGUAGES = {".pjn": "pjn", ".py": "python", ".sh": "sh", ".toml": "toml", ".mlir": "mlir"}


def address(path: PurePosixPath) -> str:
    """Return where a file of the repository stands on the site, under its path in the repository."""
    if path.parts[0] == "docs":
        return str(path.relative_to("docs"))
    if str(path) == "README.md":
        return "index.md"
    return f"files/{path}" if path.suffix in (".md", *PICTURES) else f"files/{path}.md"


def origin(uri: str) -> PurePosixPath:
    """Return the path in the repository of a page of the site."""
    if uri == "index.md":
        return PurePosixPath("README.md")
    if uri.startswith("files/"):
        path = PurePosixPath(uri.removeprefix("files/"))
        return path if (ROOT / path).exists() else path.with_suffix("")
    return PurePosixPath("docs") / uri


def linked(text: str, home: PurePosixPath) -> Iterator[PurePosixPath]:
    """Yield the files of the repository outside of docs/ to which a text at ``home`` links."""
    for part in FENCED.split(text)[::2]:
        for match in LINK.finditer(part):
            path = PurePosixPath(os.path.normpath(home.parent / match[1]))
            if path.parts[0] not in ("docs", "..") and (ROOT / path).is_file():
                yield path


def moved(text: str, home: PurePosixPath) -> str:
    """Return the text with its links as they are on the site."""

    def to_site(match: re.Match[str]) -> str:
        path = PurePosixPath(os.path.normpath(home.parent / match[1]))
        if not (ROOT / path).is_file():
            return match[0]
        return f"]({os.path.relpath(address(path), PurePosixPath(address(home)).parent)}{match[2] or ''})"

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(to_site, part) for part in parts[::2]]
    return "".join(parts)


def text_of(path: PurePosixPath) -> str:
    """Return a file of the repository as a page."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    if path.suffix == ".ipynb":
        return notebook(text)
    return f"# {path}\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"


def notebook(text: str) -> str:
    """Return the cells of a notebook as Markdown."""
    found = []
    for cell in json.loads(text)["cells"]:
        source = "".join(cell["source"])
        found.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    return "\n\n".join(found) + "\n"


def dialects() -> str:
    """Return a page of all operations and attributes of the dialects, by their docstrings."""
    from pjc.universe import DIALECTS, dialect_factory

    parts = [
        "# Dialects\n\nWhat a network, a problem and a program are written in; `pjc opt` knows them, and "
        "so does `xdsl-opt` where pjc is installed. [Constraints](constraints.md) has the mathematics.\n"
    ]
    for name in DIALECTS:
        dialect = dialect_factory(name)()
        about = inspect.getdoc(import_module(f"pjc.dialects.{DIALECTS[name][0]}")) or ""
        parts.append(f"## {name}\n\n{_plain(about)}\n")
        for each in dialect.operations:
            parts.append(f"### {each.name}\n\n{_plain(inspect.getdoc(each) or '')}\n")
        for each in dialect.attributes:
            parts.append(f"### {each.name} (attribute)\n\n{_plain(inspect.getdoc(each) or '')}\n")
    return "\n".join(parts)


def _plain(docstring: str) -> str:
    """Return text with docstrings as Markdown has them: names in single backticks, without their role."""
    return ROLE.sub(r"`\1`", docstring).replace("``", "`")


def mistakes() -> str:
    """Return a page of the kinds of mistakes, with what makes them."""
    from pjc.codes import kinds, shared_files, subjects

    shared = "".join(f"`{name}`:\n\n{_fenced(name, text)}\n" for name, text in shared_files().items())
    parts = [
        "# Mistakes\n\nEach kind of mistake has a code that stays: `pjc explain CODE` says what stands here. "
        f"[The command line](commands.md#what-is-wrong) shows where it is printed. The examples "
        f"of commands and of Python name these files:\n\n{shared}"
    ]
    subject = ""
    for code, kind in kinds().items():
        if subjects()[code[3:5]] != subject:
            subject = subjects()[code[3:5]]
            parts.append(f"## {subject}\n")
        gone = "\n\nThis pjc does not say so any more." if kind.retired else ""
        parts.append(
            f"### {code}: {kind.title}\n\n{_paged(kind.means)}{gone}\n\n*What to do:* {_paged(kind.mend)}\n"
        )
        example = kind.example
        if example is None:
            continue
        form = "made.pjn" if example.network else "made.py" if example.python else "made.sh"
        parts += [f"With `{name}`:\n\n{_fenced(name, text)}" for name, text in example.files.items()]
        parts.append(f"This makes it:\n\n{_fenced(form, example.text())}")
        if example.mended:
            parts.append(f"And this does not:\n\n{_fenced(form, example.mended)}")
    return "\n".join(parts)


def _fenced(name: str, text: str) -> str:
    return f"```{LANGUAGES.get(PurePosixPath(name).suffix, 'text')}\n{text.strip()}\n```\n"


def _paged(text: str) -> str:
    """Return a text of prose as a page has it: pages of docs/ are linked."""
    return re.sub(r"docs/(\w+\.md)", r"[docs/\1](\1)", " ".join(text.split()))


def command_lines() -> str:
    """Return a page with the help of each command."""
    from pjc.commands import COMMANDS

    parts = ["# Each command\n\nWhat `--help` says. [The command line](commands.md) has what they share.\n"]
    for name in COMMANDS:
        words = [] if name == "compile" else [name]
        parts.append(f"## {' '.join(['pjc', *words])}\n\n```text\n{_help(words)}\n```\n")
    return "\n".join(parts)


def _help(words: list[str]) -> str:
    """Return what a command prints when it is asked for help, in lines of 100 columns."""
    from pjc.cli import main

    output, before = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([*words, "--help"])
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return output.getvalue().rstrip()


def api() -> str:
    """Return a page of what ``import pjc`` offers, each by its docstring."""
    import pjc

    words = {*pjc.LOSSES, *pjc.SETS, *pjc.VOCABULARY, *pjc.TYPES}
    functions = [name for name in pjc.__all__ if name in pjc._HOMES and name not in words]
    parts = [
        "# API\n\nWhat `import pjc` offers; [From Python](python.md) shows how it is used. `pjc.f32`, "
        '`pjc.f64` and `pjc.i32` are types of inputs, as in `pjc.f32["batch", 64]`.\n'
    ]
    for title, names in {"Compile and train": functions, "In traced functions": pjc.VOCABULARY}.items():
        parts.append(f"## {title}\n")
        parts += [_described(f"{pjc._HOMES[name]}.{name}", name) for name in names]
    for title, names in {"Losses": pjc.LOSSES, "Sets": pjc.SETS}.items():
        parts.append(f"## {title}\n")
        parts += [f"### pjc.{name}\n\n{_plain(inspect.getdoc(getattr(pjc, name)) or '')}\n" for name in names]
    parts.append("## Modules\n")
    parts += [f"::: pjc.{name}\n" for name in pjc._MODULES]
    return "\n".join(parts)


def _described(path: str, name: str) -> str:
    """Return what lets mkdocstrings describe what stands at ``path`` as ``pjc.NAME``."""
    return f"::: {path}\n    options:\n      heading: pjc.{name}\n      toc_label: {name}\n"


MADE: dict[str, Callable[[], str]] = {
    "dialects.md": dialects,
    "command_lines.md": command_lines,
    "mistakes.md": mistakes,
    "api.md": api,
}
"""The pages that are made at each build."""


def on_startup(command: str, dirty: bool) -> None:
    """Lay the package out as it is installed, before mkdocstrings looks for it."""
    shutil.rmtree(PACKAGE, ignore_errors=True)
    PACKAGE.mkdir(parents=True)
    runpy.run_path(str(ROOT / "tasks.py"))["copy_as_installed"](PACKAGE)
    for path in PACKAGE.rglob("*.py"):
        path.write_text(_plain(path.read_text(encoding="utf-8")), encoding="utf-8")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, what pages link to outside of docs/, and the pages that are made from the source."""
    for name, make in MADE.items():
        files.append(File.generated(config, name, content=make()))
    files.append(File.generated(config, "index.md", content=text_of(PurePosixPath("README.md"))))
    waiting = [
        *map(PurePosixPath, ALWAYS),
        *(origin(file.src_uri) for file in files.documentation_pages() if file.src_uri not in MADE),
    ]
    seen = {*waiting}
    for name in ALWAYS:
        files.append(_added(config, PurePosixPath(name)))
    while waiting:
        home = waiting.pop()
        for path in linked(text_of(home) if home.suffix == ".md" else "", home):
            if path in seen:
                continue
            seen.add(path)
            waiting.append(path)
            files.append(_added(config, path))
    return files


def _added(config: MkDocsConfig, path: PurePosixPath) -> File:
    """Return a file of the repository as one of the site."""
    if path.suffix in PICTURES:
        return File.generated(config, address(path), abs_src_path=str(ROOT / path))
    return File.generated(config, address(path), content=text_of(path))


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let the links of a page lead to where things are on the site."""
    if page.file.src_uri in MADE:
        return markdown
    return moved(markdown, origin(page.file.src_uri))
