"""Which encoding a text file is in: as asked for, as its first bytes say, or as its bytes allow."""

from __future__ import annotations

import codecs
from pathlib import Path

from pjc.reading import reading

from .errors import DataError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-32 begins with that of UTF-16, so that it comes first."""
_WESTERN = "cp1252"
"""The encoding that most files have that are not of UTF-8: Windows's, which has latin-1's letters too."""
_NO_TEXT = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")
"""Encodings that Python has for other things than files."""
_BLOCK = 1 << 20


def encoding_of(path: Path, asked: str | None = None) -> tuple[str, str | None]:
    """Return how to decode the file at ``path``, and a sentence where that is a guess.

    ``asked`` is an encoding as Python names it. Without it, a byte order mark tells; else text that is valid
    UTF-8 is that, and other text is taken as cp1252 if none of it looks like UTF-8. Reads the file through,
    block by block. Raises DataError for an encoding that there is not, and for bytes that are no such text.
    """
    if asked is not None:
        return _known(asked), None
    with reading(path, "a text", DataError), path.open("rb") as stream:
        start = stream.read(4)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name, None
        stream.seek(0)
        place, looks_like_utf8 = _first_wrong(iter(lambda: stream.read(_BLOCK), b""))
        if place is None:
            return "utf-8", None
        stream.seek(0)
        if looks_like_utf8 or not all(map(_is_western, iter(lambda: stream.read(_BLOCK), b""))):
            raise DataError(
                f"{path} is not UTF-8 text (byte {place}); say what it is, as in --encoding latin-1; or "
                "is it damaged?"
            )
    return _WESTERN, f"{path} is not UTF-8 text; it is read as {_WESTERN} (--encoding says otherwise)"


def _known(name: str) -> str:
    """Return an encoding that is asked for, as files are read in it."""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        found = None
    # What else is looked up by name turns bytes into bytes, as "hex" does.
    if found is None or not getattr(found, "_is_text_encoding", True) or found.name in _NO_TEXT:
        raise DataError(
            f"--encoding {name!r} is no encoding of text that is known; expected one such as utf-8, utf-16, "
            "latin-1 or cp1252"
        )
    return "utf-8-sig" if found.name == "utf-8" else found.name


def _first_wrong(blocks: object) -> tuple[int | None, bool]:
    """Return the first byte that is not UTF-8, and whether some text before it is more than ASCII."""
    decoder, done, seen = codecs.getincrementaldecoder("utf-8")(), 0, False
    for block in blocks:  # type: ignore[attr-defined]
        held = len(decoder.getstate()[0])
        try:
            text = decoder.decode(block)
        except UnicodeDecodeError as error:
            return done - held + error.start, seen or not error.object[: error.start].isascii()
        seen = seen or not text.isascii()
        done += len(block)
    held = len(decoder.getstate()[0])
    return (done - held, seen) if held else (None, seen)


def _is_western(block: bytes) -> bool:
    """Return whether bytes are text in cp1252: all are characters of it, and none is a NUL."""
    try:
        block.decode(_WESTERN)
    except UnicodeDecodeError:
        return False
    return b"\0" not in block
