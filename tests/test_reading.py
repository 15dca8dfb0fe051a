"""The boundary of readers of files: what is opened, and what a bad file makes them say."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from pjc.diagnostics import CommandError, PjcError, printable
from pjc.reading import measured, reading


@pytest.mark.parametrize(
    "error",
    [
        struct.error("unpack requires a buffer of 4 bytes"),
        zlib.error("Error -3 while decompressing"),
        KeyError("x"),
        AssertionError(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
        RecursionError("maximum recursion depth exceeded"),
        MemoryError(),
        OverflowError("int too large"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_reader_raises_is_one_sentence_with_the_file(error: Exception) -> None:
    with pytest.raises(CommandError) as caught, reading("bad.bin", "a .bin file", CommandError):
        raise error
    assert str(caught.value).startswith("bad.bin ")
    assert "\n" not in str(caught.value)


def test_what_says_itself_and_what_is_no_error_pass() -> None:
    mine = PjcError("mine")
    with pytest.raises(PjcError) as caught, reading("bad.bin", "a file"):
        raise mine
    assert caught.value is mine
    with pytest.raises(KeyboardInterrupt), reading("bad.bin", "a file"):
        raise KeyboardInterrupt


def test_only_regular_files_of_a_known_size_are_read(tmp_path: Path) -> None:
    pipe, file = tmp_path / "pipe", tmp_path / "file"
    os.mkfifo(pipe)
    file.write_bytes(b"12345")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    assert measured(file) == 5
    for path, said in [
        (pipe, "pipe or a device"),
        (Path("/dev/zero"), "pipe or a device"),
        (tmp_path, "is a directory"),
        (tmp_path / "none", "there is no file"),
        (tmp_path / "circle", "cannot be read"),
        (tmp_path / "nul\0", "cannot be read"),
    ]:
        with pytest.raises(PjcError, match=said):
            measured(path)
    with pytest.raises(PjcError, match="holds 5 bytes, more than the 4"):
        measured(file, 4)


def test_control_characters_print_as_escapes() -> None:
    assert printable("a\x1b]0;title\x07\n\tb é 数 \u202e\udc80\x7f\r") == (
        "a\\x1b]0;title\\x07\n\tb é 数 \\u202e\\udc80\\x7f\\r"
    )
