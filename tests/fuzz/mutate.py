"""Mutants of files: bytes, tokens of text, and what stands inside of formats that check themselves."""

from __future__ import annotations

import hashlib
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

Mutate: TypeAlias = Callable[[bytes, random.Random], bytes]

BYTES = (
    b"\0",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x80",
    b"\xff\xff\xff\xff\xff\xff\xff\x7f",
)
SIZES = [0, 1, -1, 2, 3, 7, 255, 256, 2**16, 2**31, 2**32, 2**63 - 1, 2**63]
NUMBERS = [*map(str, SIZES), "1e9", "1e39", "1e300", "nan", "inf", "-inf", "1_0", "٣"]
WORDS = [
    *NUMBERS,
    "",
    " ",
    "\n",
    ",",
    '"',
    "'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "<",
    ">",
    "=",
    "%",
    "\\",
    "\x1b[2J",
    "é",
    "\ud7ff",
]
TOKEN = re.compile(r"[A-Za-z_]\w*|[0-9.]+|\s+|.", re.DOTALL)
VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2**31, 2**63, 2**70, 1.5, float("nan"), float("inf"),
    "", "x", "\x1b]0;x\x07", [], {}, [[]], [-1], [2**40, 2**40], {"x": 1}, ["x"], "../x", "f32", "a" * 5000,
)  # fmt: skip


def of_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return the bytes after a few edits: bits turned, runs cut out, doubled, moved, overwritten."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        # Headers stand at the beginning, and in some formats at the end.
        end = rng.choice((len(made), len(made), min(len(made), 128)))
        start = rng.choice((0, 0, max(0, len(made) - 64)))
        at = rng.randrange(start, max(end, start + 1))
        size = rng.choice((1, 2, 4, 8, 64, 1000))
        match rng.randrange(7):
            case 0 | 1 if at < len(made):
                made[at] ^= 1 << rng.randrange(8)
            case 2:
                word = rng.choice(BYTES)
                made[at : at + len(word)] = word
            case 3:
                del made[at : at + size]
            case 4:
                made[at:at] = made[at : at + size]
            case 5:
                made[at:at] = rng.randbytes(size)
            case 6 if rng.random() < 0.3:
                del made[at:]
    return bytes(made)


def edit(pieces: list[str], kind: int, at: tuple[int, int], words: Sequence[str], rng: random.Random) -> None:
    """Leave out, double, exchange, insert or replace (kinds 0 to 4) a token, at the first of two places."""
    i, j = at
    match kind:
        case 0:
            pieces[i] = ""
        case 1:
            pieces.insert(i, pieces[j])
        case 2:
            pieces[i], pieces[j] = pieces[j], pieces[i]
        case 3:
            pieces.insert(i, rng.choice(words))
        case 4:
            pieces[i] = rng.choice(words)


def of_text(data: bytes, rng: random.Random) -> bytes:
    """Return the text after edits of its tokens, or of its bytes."""
    if rng.random() < 0.15:
        return of_bytes(data, rng)
    pieces = TOKEN.findall(data.decode())
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not pieces:
            break
        i, j = rng.randrange(len(pieces)), rng.randrange(len(pieces))
        match rng.randrange(7):
            case 0 | 1 | 2 | 3 | 4 as kind:
                edit(pieces, kind, (i, j), WORDS, rng)
            case 5:
                numbers = [k for k, piece in enumerate(pieces) if piece[0:1].isdigit()]
                if numbers:
                    pieces[rng.choice(numbers)] = rng.choice(NUMBERS)
            case 6 if rng.random() < 0.3:
                pieces = pieces[: max(1, i)]
    return "".join(pieces).encode("utf-8", "surrogatepass")


def of_value(value: Any, rng: random.Random) -> Any:
    """Return a JSON value with one of its parts replaced, left out, doubled or nested."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        made = dict(value)
        match rng.randrange(8):
            case 0:
                del made[key]
            case 1:
                made[rng.choice(["x", "", key + "x", "format"])] = made.pop(key)
            case _:
                made[key] = of_value(value[key], rng)
        return made
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        match rng.randrange(8):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, value[at]]
            case _:
                return [*value[:at], of_value(value[at], rng), *value[at + 1 :]]
    return rng.choice(VALUES)


def of_zip(data: bytes, rng: random.Random) -> bytes:
    """Return an archive with one member mutated, left out or named otherwise; or its bytes edited."""
    if rng.random() < 0.4:
        return of_bytes(data, rng)
    members = _members(data)
    name = rng.choice(list(members))
    match rng.randrange(6):
        case 0:
            del members[name]
        case 1:
            members[rng.choice(["x", "y", "x.npy", "../x.npy", "a/" + name])] = members.pop(name)
        case _:
            members[name] = of_bytes(members[name], rng)
    return _zipped(members)


def of_pjx(data: bytes, rng: random.Random) -> bytes:
    """Return a .pjx whose members are mutated; half of them with the sizes and hashes that then hold."""
    if rng.random() < 0.2:
        return of_bytes(data, rng)
    members = _members(data)
    name = rng.choice([*members, "manifest.json", "manifest.json"])
    if name == "manifest.json":
        record = of_value(json.loads(members[name]), rng)
        members[name] = json.dumps(record).encode("utf-8", "surrogatepass")
    else:
        members[name] = of_bytes(members[name], rng)
    return _zipped(resigned(members) if rng.random() < 0.625 else members)


def resigned(members: dict[str, bytes]) -> dict[str, bytes]:
    """Return the members with a manifest that has their sizes and hashes."""
    try:
        manifest = json.loads(members["manifest.json"])
        for name, data in members.items():
            if name != "manifest.json" and name in manifest["members"]:
                manifest["members"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    except (KeyError, TypeError, ValueError):
        return members
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def of_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Return a checkpoint with its header or the state in it mutated, its lengths as they then are."""
    if rng.random() < 0.25:
        return of_bytes(data, rng)
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    notes = header.get("__metadata__", {})
    texts = [key for key in ("state", "settings") if key in notes]
    if texts and rng.random() < 0.6:
        key = rng.choice(texts)
        notes[key] = json.dumps(of_value(json.loads(notes[key]), rng))
    elif rng.random() < 0.3:
        body = of_bytes(body, rng)
    else:
        header = of_value(header, rng)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def of_npy(data: bytes, rng: random.Random) -> bytes:
    """Return an array's file with the text of its header mutated, its length as it then is; or its bytes."""
    if rng.random() < 0.4:
        return of_bytes(data, rng)
    size = int.from_bytes(data[8:10], "little")
    header = of_text(data[10 : 10 + size], rng)
    return data[:8] + (len(header) & 0xFFFF).to_bytes(2, "little") + header + data[10 + size :]


def of_onnx(data: bytes, rng: random.Random) -> bytes:
    """Return a model with one or more of its fields, however far in, mutated; or its bytes."""
    import onnx

    if rng.random() < 0.3:
        return of_bytes(data, rng)
    model = onnx.ModelProto.FromString(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        _mutate_message(model, rng)
    return model.SerializeToString()


def _mutate_message(message: Any, rng: random.Random) -> None:
    """Mutate a field of a protocol buffer's message: one that is set, most often one further in."""
    fields = [field for field, _ in message.ListFields()]
    if not fields:
        return
    field = rng.choice(fields)
    value = getattr(message, field.name)
    if field.is_repeated:
        at = rng.randrange(len(value))
        deeper = field.message_type is not None and rng.random() < 0.85
        if deeper:
            _mutate_message(value[at], rng)
        elif rng.random() < 0.3:
            del value[at]
        elif field.message_type is not None:
            value.append(value[at])
        else:
            with suppress(ValueError):  # a number that the field's enumeration does not have
                value[at] = _scalar(value[at], rng)
    elif field.message_type is not None:
        if rng.random() < 0.1:
            message.ClearField(field.name)
        else:
            _mutate_message(value, rng)
    else:
        with suppress(ValueError):
            setattr(message, field.name, _scalar(value, rng))


def _scalar(value: Any, rng: random.Random) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bytes):
        return of_bytes(value, rng)
    if isinstance(value, str):
        return rng.choice(["", "x", value + "x", "Relu", "Add", "MatMul", "\x1b[2J", "batch"])
    if isinstance(value, float):
        return rng.choice([0.0, -1.0, 1e30, float("nan"), float("inf")])
    return rng.choice([0, 1, 2, 7, 16, 127, 10_000, 2**31 - 1]) if rng.random() < 0.7 else value


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return made.getvalue()
