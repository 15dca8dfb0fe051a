"""MLIR bytecode whose counts are other than what it holds, as its format is described by MLIR."""

from __future__ import annotations

SECTIONS = {"strings": 0, "dialects": 1, "attributes and types": 3, "values of a region": 4}
"""The sections that a count stands in."""
_REGIONS, _ATTRIBUTES, _PROPERTIES = 16, 1, 64
_ALIGNED = 128


class _Reader:
    """Reads numbers from bytes, from the place ``at`` on."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def number(self) -> int:
        """Return a number whose first byte tells by its lowest bit that is set how many more follow."""
        first = self.byte()
        more = (first & -first).bit_length() - 1 if first else 8
        self.at += more
        read = bytes([first]) + self.data[self.at - more : self.at]
        return int.from_bytes(read, "little") >> (more + 1 if first else 8)


def _number(value: int) -> bytes:
    return b"\0" + value.to_bytes(8, "little")


def claiming(module: bytes, what: str, count: int) -> bytes:
    """Return a module that claims to have ``count`` of what is one of ``SECTIONS``."""
    reader = _Reader(module, 4)
    reader.number()
    reader.at = module.index(0, reader.at) + 1  # after the name of what wrote it
    made = module[: reader.at]
    while reader.at < len(module):
        kind, size = reader.byte(), reader.number()
        alignment = reader.number() if kind & _ALIGNED else 1
        reader.at += -reader.at % alignment
        data = module[reader.at : reader.at + size]
        reader.at += size
        if kind % _ALIGNED == SECTIONS[what]:
            data = _with_values(data, count) if what == "values of a region" else _with_count(data, count)
        made += bytes([kind]) + _number(len(data)) + (_number(alignment) if kind & _ALIGNED else b"")
        made += b"\xcb" * (-len(made) % alignment) + data
    return made


def _with_count(data: bytes, count: int) -> bytes:
    reader = _Reader(data)
    reader.number()
    return _number(count) + data[reader.at :]


def _with_values(data: bytes, count: int) -> bytes:
    """Change how many values the region of the outermost operation has, which is the module."""
    reader = _Reader(data)
    reader.number()  # how many operations there are
    reader.number()  # the name of the first
    mask = reader.byte()
    reader.number()  # its location
    for each in (_ATTRIBUTES, _PROPERTIES, _REGIONS):
        if mask & each:
            reader.number()
    before, kind = data[: reader.at], reader.byte()
    assert kind == SECTIONS["values of a region"] and reader.number() == len(data) - reader.at
    start = reader.at
    reader.number()
    blocks = data[start : reader.at]
    reader.number()
    region = blocks + _number(count) + data[reader.at :]
    return before + bytes([kind]) + _number(len(region)) + region
