"""Where ``use NAME`` finds a library: in pjc itself, or beside the file that is compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pjc.diagnostics import Diagnostic, DiagnosticError, mistake
from pjc.reading import measured

STANDARD = Path(__file__).resolve().parent.parent / "library"
"""The folder of the libraries that come with pjc."""
MAX_SOURCE_BYTES = 16 * 2**20
MAX_LIBRARIES = 64


@dataclass(frozen=True)
class LibrarySource:
    """The text of a library; ``file`` is what messages call it, ``standard`` whether it comes with pjc.

    ``parameters`` are what those of its blocks start from, by name, where it is an ONNX model.
    """

    text: str
    file: str
    standard: bool
    parameters: Mapping[str, Any] = field(default_factory=dict)


def read_text(path: Path) -> LibrarySource:
    """Return a library that is a file in pjc's language."""
    return LibrarySource(read_source(path), str(path), False)


@dataclass
class Libraries:
    """Finds libraries by name; ``found`` are those asked for so far.

    A name is looked up in ``recorded`` (texts that a compiled file holds), then among pjc's own libraries,
    then in ``folder`` as a file that one of ``readers`` reads, each known by the ending of its files. Names
    are names of the language, so that none leads out of it. Libraries that come with pjc see no others.
    """

    folder: Path | None = None
    recorded: Mapping[str, str] = field(default_factory=dict)
    readers: Mapping[str, Callable[[Path], LibrarySource]] = field(
        default_factory=lambda: {".pjn": read_text}
    )
    found: dict[str, LibrarySource] = field(default_factory=dict)

    def find(self, name: str, *, standard_only: bool = False) -> LibrarySource | None:
        """Return a library, or None if there is none of this name.

        Raises:
            DiagnosticError: if there is a file that cannot be read as text, or there are too many.
        """
        if name not in self.found:
            source = self._read(name, standard_only)
            if source is None:
                return None
            if len(self.found) == MAX_LIBRARIES:
                raise DiagnosticError([Diagnostic(f"more than {MAX_LIBRARIES} libraries are used")])
            self.found[name] = source
        return self.found[name]

    def _read(self, name: str, standard_only: bool) -> LibrarySource | None:
        own = STANDARD / f"{name}.pjn"
        shown = f"pjc/library/{name}.pjn"
        if name in self.recorded:
            return LibrarySource(
                self.recorded[name], shown if own.is_file() else f"{name}.pjn", own.is_file()
            )
        if own.is_file():
            return LibrarySource(read_source(own), shown, True)
        if standard_only or self.folder is None:
            return None
        for ending, read in self.readers.items():
            for spelling in (ending, ending.upper()):
                if (path := self.folder / f"{name}{spelling}").exists():
                    return read(path)
        return None

    def names(self) -> list[str]:
        """Return the names that could be used."""
        folders = [STANDARD] if self.folder is None else [STANDARD, self.folder]
        beside = (path for each in folders for path in each.iterdir())
        found = {path.stem for path in beside if path.suffix.lower() in self.readers}
        return sorted(found | {*self.recorded})

    def texts(self) -> dict[str, str]:
        """Return the texts of the libraries in use, which :attr:`recorded` takes again."""
        return {name: source.text for name, source in self.found.items()}


def read_source(path: Path) -> str:
    """Return the text of a source file, or raise DiagnosticError saying why it is none."""
    if path.is_dir():
        raise mistake(f"{path} is a folder, expected a .pjn file")
    measured(path, error=mistake)  # a pipe would never end
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SOURCE_BYTES + 1)
    except OSError as error:
        raise mistake(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MAX_SOURCE_BYTES:
        raise mistake(f"{path} is larger than {MAX_SOURCE_BYTES >> 20} MiB, too large for a .pjn file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise mistake(f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#x}") from error
