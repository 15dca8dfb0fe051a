"""What may be written where: folders are made, and no file is overwritten that is something else."""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pjc.diagnostics import CommandError, PjcError
from pjc.fields import Switch, option
from pjc.reading import reading, reason

if TYPE_CHECKING:
    from pjc.driver import Compilation
    from pjc.runtime.program import Program

_OTHERS = (".pjn", ".py", ".onnx", ".pjx", ".safetensors", ".csv", ".npz", ".npy", ".gz", ".zip")
"""Endings of files that no stage is printed into: sources, and what commands read and write."""


def force_option(help: str, group: str = "") -> bool:
    """Return the field of ``--force``."""
    return option(False, kind=Switch(), help=help, shown="", group=group)


def require_place(path: Path) -> None:
    """Make the folder of a file that is to be written.

    Raises:
        CommandError, WriteError: where that cannot be, or nothing can be written there.
    """
    from pjc.runtime.files import require_writable

    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise CommandError(f"{folder} cannot be made a directory: {reason(error)}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CommandError(f"{folder} cannot be written to; choose another with -o")
    require_writable(path)


def require_regular(path: Path) -> None:
    """Raise CommandError where there is a device or a pipe, which no file of bytes is written to."""
    if path.exists() and not path.is_file():
        raise CommandError(f"{path} cannot be written: it is no regular file")


def is_same(path: Path, other: str | Path) -> bool:
    """Return whether two paths lead to one file that is there."""
    # By os: pathlib raises an error for what cannot be the name of a file.
    return os.path.exists(path) and os.path.exists(other) and os.path.samefile(path, other)


def require_apart(path: Path, read: Iterable[str | Path], what: str = "what is read") -> None:
    """Raise CommandError where a file that is to be written is one of those that are ``read``."""
    if overwritten(path, read):
        raise CommandError(f"{path} would overwrite {what}; name another file with -o")


def require_ours(path: Path, found: str | None, force: bool) -> None:
    """Raise CommandError where a file is ``found`` to be something else than what is to be written."""
    if found is not None and not force:
        raise CommandError(
            f"{path} would be overwritten, which is {found}; name another file with -o, or give --force"
        )


def overwritten(path: Path, read: Iterable[str | Path]) -> str | None:
    """Return which of the files that a command reads is the one that it is to write; None where none is."""
    return next((str(each) for each in read if is_same(path, each)), None)


def files_of_data(*data: str | None) -> list[str]:
    """Return the files that names of data lead to: ``a.npz`` for ``keras:a.npz``."""
    from pjc.runtime.data.sources import files_of

    return [each for name in data if name is not None for each in files_of(name)]


def is_kept(path: Path) -> bool:
    """Return whether something would be lost if a file were written: there is a regular file, not empty."""
    return path.is_file() and path.stat().st_size > 0


def other_program(path: Path, compilation: Compilation) -> str | None:
    """Return what a file is, unless it is this very model, compiled before."""
    from pjc.runtime.artifact import recorded_source

    if not is_kept(path):
        return None
    try:
        found = recorded_source(path).get("file")
    except PjcError:
        return "no compiled network of this pjc"
    if not isinstance(found, str) or found == Path(compilation.source.file).name:
        return None
    return f"the compiled network of {found.removesuffix('.pjn') if found.endswith('.onnx.pjn') else found}"


def other_text(path: Path, text: str) -> str | None:
    """Return what a file is, unless it can be a stage that was printed before."""
    if not is_kept(path):
        return None
    with path.open("rb") as stream:
        head = stream.read(max(2**16, len(text.encode()) + 1))
    if head == text.encode():
        return None
    if b"\0" in head:
        return "no text"
    return f"a {path.suffix} file" if path.suffix.lower() in _OTHERS else None


def other_ir(path: Path) -> str | None:
    """Return what a file is, unless it holds IR."""
    from pjc.sources import IrSource

    return "a file that holds no IR" if is_kept(path) and not IrSource.recognises(path) else None


def other_picture(path: Path, author: str) -> str | None:
    """Return what a file is, unless ``author`` is named in it, as in a picture that was drawn before."""
    if not is_kept(path):
        return None
    with reading(path, "a picture", CommandError), path.open("rb") as stream:
        return None if author.encode() in stream.read(2**14) else f"no picture of {author}"


def other_trace(path: Path) -> str | None:
    """Return what a file is, unless it is a trace that was recorded before."""
    from pjc.runtime.trace import looks_like_trace

    return "no trace of pjc train" if is_kept(path) and not looks_like_trace(path) else None


def other_page(path: Path) -> str | None:
    """Return what a file is, unless it is a report that was written before."""
    from pjc.report.page import GENERATOR

    if not is_kept(path):
        return None
    with path.open("rb") as stream:
        ours = f'<meta name="generator" content="{GENERATOR}">'.encode() in stream.read(2**13)
    return None if ours else f"no report of {GENERATOR}"


def other_table(path: Path, columns: Sequence[str]) -> str | None:
    """Return what a file is, unless it can be predictions that were written before.

    Those are an archive with such an array, or a table of the same ``columns``, or of such as have no other
    use.
    """
    if not is_kept(path):
        return None
    try:
        with reading(path, "a table"):
            if path.suffix.lower() == ".npz":
                with zipfile.ZipFile(path) as archive:
                    return None if "prediction.npy" in archive.namelist() else "no archive of predictions"
            with path.open("rb") as stream:
                first = next(csv.reader([stream.readline(2**20).decode("utf-8")]))
    except PjcError:
        return "nothing that pjc predict wrote"
    ours = all(name == "prediction" or name.startswith(("prediction_", "score_")) for name in first)
    return None if ours or first == list(columns) else "another table"


def other_beginning(path: Path, prompt: str) -> str | None:
    """Return what a file is, unless it is a text that goes on with the same prompt."""
    if not is_kept(path):
        return None
    with path.open("rb") as stream:
        begun = prompt.encode()
        return None if stream.read(len(begun)) == begun else "another text"


def other_model(path: Path, program: Program, model: Path) -> str | None:
    """Return what a file is, unless it is an ONNX model of the same network that pjc wrote before."""
    from pjc.reading import measured
    from pjc.runtime.artifact import recorded_source

    if not is_kept(path):
        return None
    source = recorded_source(model).get("file") if model.suffix.lower() == ".pjx" else None
    if source == f"{path.name}.pjn":
        return f"perhaps the source of {model}"
    try:
        import onnx

        measured(path, 2**31)
        with reading(path, "an ONNX model"):
            found = onnx.load(path, load_external_data=False)
    except PjcError:
        return "no ONNX model"
    if found.producer_name != "pjc":
        return f"a model that {found.producer_name or 'another program'} wrote"
    return None if found.graph.name == program.name else f"a model of {found.graph.name!r}"
