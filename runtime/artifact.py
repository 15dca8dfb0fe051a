"""The ``.pjx`` file: a compiled solver as data. Reading one executes nothing from it.

A zip archive of
- ``manifest.json``: format version, signature with the units of targets and outputs, the source and its
  options, the size and SHA-256 of every other member;
- ``stablehlo/ENTRY.bin``: each entry point as versioned, portable StableHLO (jax.export), for CPU, CUDA
  and TPU, in those units;
- ``ir/STAGE.mlir``: the text after each stage that ran, which the manifest lists;
- ``initial.safetensors``: what parameters start from that came with the network, where some did.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy
from jax import export as jax_export

from pjc.reading import measured, reading
from pjc.runtime.exported import PLATFORMS, ModuleError, require_fits, require_plain, require_readable
from pjc.runtime.files import replace_file
from pjc.runtime.finite import not_finite
from pjc.runtime.outer_settings import DISPLACEMENT, DRAIN, KEEP, START, STEP, WEIGHTED, Outer
from pjc.runtime.program import Program, ProgramError, Services, Signature, Tensors, TensorSpec
from pjc.runtime.units import Units

FORMAT = 2
"""The version of the layout and of the texts in it; a reader refuses others."""
MANIFEST = "manifest.json"
INITIAL = "initial.safetensors"
MAX_MANIFEST_BYTES = 2**24
MAX_MANIFEST_VALUES = 2**18
"""How many values a manifest may hold; a short text can hold millions, each of which takes memory."""
MAX_EXPANDED = 2**27
"""How many bytes the members may have in all, beyond ``MAX_RATIO`` times those of the file."""
MAX_RATIO = 16
MAX_MEMBERS = 64
MAX_RANK = 64
MAX_ENTRIES = 2**44
"""How many numbers all arrays of a signature may have in all."""
DTYPES = ("float32", "float64", "bfloat16", "float16", "int32", "int64", "uint8", "int8", "bool")
ENTRIES = frozenset(
    ("init", "apply", "update", "gap", "finish", DISPLACEMENT, DISPLACEMENT + WEIGHTED, KEEP, START, STEP)
) | {STEP + WEIGHTED, DRAIN}
"""The entry points that a file may have."""
REQUIRED = frozenset(("init", "apply"))
"""Those that each has."""


class ArtifactError(ProgramError):
    """A ``.pjx`` file that cannot be read; the message says why and what to do."""


def save(program: Program, path: Path, source: dict[str, object], without: Collection[str] = ()) -> None:
    """Write a program, ``without`` some of its entry points; the file appears whole or not at all.

    Raises:
        OSError: if the file cannot be written.
        ArtifactError: if an entry point calls what no file may hold, as an operator of the user's own can.
    """
    members = {f"ir/{stage}.mlir": program.ir(stage).encode() for stage in program.stages()}
    for entry in (each for each in program.entries() if each not in without):
        exported = jax_export.export(program.jitted(entry), platforms=PLATFORMS)(
            *program.abstract_arguments(entry)
        )
        try:
            require_plain(entry, exported)
        except ModuleError as error:
            raise ArtifactError(
                f"the program cannot be written to a file: {error}; an operator of your own makes such a "
                "call, as by jnp.linalg.solve: multiply by an inverse that NumPy has found"
            ) from error
        members[f"stablehlo/{entry}.bin"] = bytes(exported.serialize())
    if program.initial:
        arrays = {name: np.asarray(value, order="C") for name, value in program.initial.items()}
        members[INITIAL] = safetensors.numpy.save(arrays)
    manifest = {
        "format": FORMAT,
        "jax": jax.__version__,
        "signature": asdict(program.signature),
        "source": source,
        "stages": list(program.stages()),
        "members": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        },
    }
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    replace_file(path, lambda temporary: _write(temporary, {MANIFEST: text, **members}))


def _write(path: Path, members: dict[str, bytes]) -> None:
    """Write the archive; equal members give equal files.

    Numbers are not compressed: a reader holds the size of what it takes to that of the file.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            how = zipfile.ZIP_STORED if name == INITIAL else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), data, how)


def load(
    path: str | Path,
    services: Services | None = None,
    recompile: Callable[[dict[str, Any], int], Program] | None = None,
    export: Callable[[dict[str, Any], Tensors, Mapping[str, Units], Path, int | None], tuple[str, ...]]
    | None = None,
    hold: Callable[[dict[str, Any], tuple[str, ...]], Program | None] | None = None,
    tell: Callable[[dict[str, Any]], Program] | None = None,
    outer: Callable[[dict[str, Any]], Outer] | None = None,
    entries: Collection[str] | None = None,
) -> Program:
    """Return the program of a ``.pjx`` file.

    Args:
        path: the file.
        services: what else the package does for the program.
        recompile: called with the recorded source and a batch size, where another batch is
            given than the compiled one.
        hold: called with the recorded source and the labels of factored dots, where these are to be held.
        tell: called with the recorded source, where training is to tell of every node.
        export: called with the recorded source, parameters, units of outputs, a path and an opset, to write
            an ONNX model.
        outer: called with the recorded source, for the outer step that takes the place of the file's.
        entries: the entry points that are read, where the others are not needed: that takes less time, and
            the program cannot be saved.

    Raises:
        ArtifactError: if the file is missing, truncated, altered, or of another format.
    """
    path = Path(path)
    size = measured(path, error=ArtifactError)
    with reading(path, "a whole .pjx file", _again), zipfile.ZipFile(path) as archive:
        found = _read(path, archive, size, entries)
    signature, functions, texts, source, initial, data = found
    if outer is not None:
        functions = _with_outer(path, signature, functions, outer(source))

    def with_own_step(other: Program) -> Program:
        if outer is None:
            return other
        entries = {name: other.jitted(name) for name in other.entries()}
        return other.with_functions(_with_outer(path, signature, entries, outer(source)))

    def for_batch(size: int) -> Program:
        assert recompile is not None
        return with_own_step(recompile(source, size))

    def telling() -> Program:
        assert tell is not None
        return with_own_step(tell(source))

    exporter = None if export is None else partial(export, source)

    def saver(program: Program, other: Path) -> None:
        if program.signature == signature:
            replace_file(other, lambda temporary: temporary.write_bytes(data))
        else:  # it was given units since
            save(program, other, source, set(program.entries()) - found.functions.keys())

    lent = replace(
        services or Services(),
        for_batch=None if recompile is None else for_batch,
        hold=None if hold is None else (lambda labels: hold(source, labels)),
        tell=None if tell is None else telling,
        saver=None if entries else saver,
        exporter=exporter,
    )
    return Program(signature, functions, texts, lent, initial)


def is_wide(path: Path) -> bool:
    """Whether the numbers of the network in a file are of 64 bits; raise ArtifactError as :func:`load`."""
    found = read_record(path).signature
    specs = (*found.inputs, *found.targets, *found.outputs, *found.parameters)
    return any(spec.dtype == "float64" for spec in specs)


class Recorded(NamedTuple):
    """What a file says of itself, of which nothing was compiled: see the head of this module.

    ``sizes`` has the bytes of each member, as they are when it is unpacked.
    """

    jax: str
    signature: Signature
    source: dict[str, Any]
    initial: dict[str, Any]
    sizes: dict[str, int]


def read_record(path: Path) -> Recorded:
    """Return what a ``.pjx`` file says of itself; its entry points are not looked at.

    Raises:
        ArtifactError: as :func:`load`.
    """
    size = measured(path, error=ArtifactError)
    with reading(path, "a whole .pjx file", _again), zipfile.ZipFile(path) as archive:
        manifest, members = _checked(path, archive, size)
        signature, initial = _signature(manifest["signature"]), _initial(members)
        _require_initial(path, signature, initial)
        sizes = {name: len(data) for name, data in members.items()}
        return Recorded(str(manifest.get("jax")), signature, manifest["source"], initial, sizes)


def recorded_source(path: Path) -> dict[str, Any]:
    """Return the record of the source that a ``.pjx`` file was compiled from; nothing else is read of it.

    Raises:
        ArtifactError: if it is no such file.
    """
    size = measured(path, error=ArtifactError)
    with reading(path, "a whole .pjx file", _again), zipfile.ZipFile(path) as archive:
        _require_total(path, archive, size)
        return dict(_manifest(path, archive)["source"])


def _with_outer(path: Path, signature: Signature, functions: dict[str, Any], outer: Outer) -> dict[str, Any]:
    """Return the entry points of a file with another outer step."""
    from pjc.runtime.outer import step_entries

    if DISPLACEMENT not in functions:
        raise ArtifactError(
            f"the solver of {path}, {signature.solver}, has no outer step; load it without one"
        )
    if DRAIN in functions:
        raise ArtifactError(
            f"{path} holds the outer step of a stream, which is a part of its ticks; load it without one, or "
            "compile the network again with the one that you want"
        )
    return {**functions, **step_entries(outer, signature.members, functions)}


def _again(why: str) -> ArtifactError:
    return ArtifactError(f"{why}; compile the network again")


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path} is no whole .pjx file: {why}; compile the network again")


class _Found(NamedTuple):
    """What a file holds."""

    signature: Signature
    functions: dict[str, Any]
    texts: dict[str, str]
    source: dict[str, Any]
    initial: dict[str, Any]
    data: bytes


def _checked(path: Path, archive: zipfile.ZipFile, size: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest, and the members that it lists."""
    _require_total(path, archive, size)
    manifest = _manifest(path, archive)
    for key in ("signature", "source", "stages"):
        if key not in manifest:
            raise _damaged(path, f"its manifest has no {key}")
    if not isinstance(manifest["source"], dict):
        raise _damaged(path, "its manifest names no source")
    return manifest, _members(path, archive, manifest)


def _initial(members: Mapping[str, bytes]) -> dict[str, Any]:
    return safetensors.numpy.load(members[INITIAL]) if INITIAL in members else {}


def _read(path: Path, archive: zipfile.ZipFile, size: int, wanted: Collection[str] | None) -> _Found:
    manifest, members = _checked(path, archive, size)
    signature, source = _signature(manifest["signature"]), manifest["source"]
    initial = _initial(members)
    _require_initial(path, signature, initial)
    texts = {str(stage): members[f"ir/{stage}.mlir"].decode() for stage in manifest["stages"]}
    entries = {
        name.removeprefix("stablehlo/").removesuffix(".bin"): data
        for name, data in members.items()
        if name.startswith("stablehlo/")
    }
    exported = {
        entry: jax_export.deserialize(bytearray(data))
        for entry, data in entries.items()
        if wanted is None or entry in wanted
    }
    expected = {MANIFEST, INITIAL, *(f"ir/{stage}.mlir" for stage in texts)}
    expected |= {f"stablehlo/{entry}.bin" for entry in entries}
    unlisted = set(archive.namelist()) - {MANIFEST, *members} or members.keys() - expected
    if unlisted:
        raise _damaged(path, f"it holds {sorted(unlisted)[0]!r}, of which its manifest says nothing")
    try:
        _require_names(signature, entries)
        _require_entries(signature, exported)
    except ModuleError as error:
        raise _damaged(path, str(error)) from error
    functions = {entry: _mappable(each) for entry, each in exported.items()}
    return _Found(signature, functions, texts, source, initial, path.read_bytes())


def _mappable(exported: jax_export.Exported) -> Callable[..., Any]:
    """Return an entry point as a function that ``jax.vmap`` calls once for each: files hold it for one."""

    def call(*arguments: Any) -> Any:
        return exported.call(*arguments)

    return jax.custom_batching.sequential_vmap(call)  # type: ignore[no-any-return]


def _require_total(path: Path, archive: zipfile.ZipFile, size: int) -> None:
    """Raise ArtifactError where the members of an archive would take much more memory than the file."""
    names = archive.namelist()
    if len(names) > MAX_MEMBERS + 1 or len(set(names)) < len(names):
        raise _damaged(path, f"it holds {len(names)} members, more than {MAX_MEMBERS}, or one of them twice")
    total, most = sum(info.file_size for info in archive.infolist()), MAX_EXPANDED + MAX_RATIO * size
    if total > most:
        raise _damaged(path, f"its members claim {total} bytes, and a file of {size} may have {most}")


def _require_initial(path: Path, signature: Signature, initial: Mapping[str, Any]) -> None:
    """Raise ArtifactError unless initial parameters are finite ones of the signature."""
    shapes = {spec.name: spec.shape for spec in signature.parameters}
    for name, array in initial.items():
        if shapes.get(name) != array.shape:
            raise _damaged(
                path, f"it starts from {name!r} of shape {array.shape}, which is no parameter of it"
            )
    for name in not_finite(initial):
        raise _damaged(path, f"parameter {name!r} starts from numbers that are not finite")


def _require_names(signature: Signature, entries: Collection[str]) -> None:
    """Raise ModuleError unless a program of this signature has these entry points."""
    names = set(entries)
    trains = DISPLACEMENT in names or {"update", "gap"} <= names
    both = DISPLACEMENT in names and "update" in names
    if names - ENTRIES or both or not names >= REQUIRED or trains != signature.trainable:
        listed = ", ".join(sorted(names)) or "none"
        raise ModuleError(f"its entry points, {listed}, are not those of a program of its signature")


def _require_entries(signature: Signature, exported: Mapping[str, jax_export.Exported]) -> None:
    """Raise ModuleError unless entry points are those of a program of this signature, and compute alone."""
    require_readable(exported)
    for entry, each in exported.items():
        require_plain(entry, each)
    program = Program(signature, {entry: each.call for entry, each in exported.items()}, {})
    (params, *_) = program.abstract_arguments("finish")
    outputs = {spec.name: spec.abstract() for spec in signature.outputs}
    moved = ENTRIES - {"apply", "gap", START}
    results = {"apply": outputs, **dict.fromkeys(moved, params)}
    for entry, each in sorted(
        exported.items(), key=lambda pair: pair[0] != START
    ):  # steps take what it gives
        require_fits(entry, each, program.abstract_arguments(entry), results)


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise _damaged(path, f"it holds no {MANIFEST}")
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise _damaged(path, f"its manifest has more than {MAX_MANIFEST_BYTES} bytes")
    text = archive.read(MANIFEST)
    if len(re.findall(rb"[\[{,]", _STRING.sub(b"", text))) > MAX_MANIFEST_VALUES:
        raise _damaged(path, f"its manifest has more than {MAX_MANIFEST_VALUES} values")
    try:
        manifest = json.loads(text)
        version = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"its manifest cannot be read ({error})") from error
    if version != FORMAT:
        older = isinstance(version, int) and version < FORMAT
        advice = "compile the network again" if older else "upgrade pjc"
        raise ArtifactError(
            f"{path} has format {str(version)[:40]}, this pjc reads format {FORMAT}; {advice}"
        )
    return dict(manifest)


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)?', re.DOTALL)
"""A string of JSON; what is in it is no value of its own."""


def _members(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the members that the manifest lists, each checked against it."""
    listed = manifest.get("members")
    if not isinstance(listed, dict) or len(listed) > MAX_MEMBERS:
        raise _damaged(path, "its manifest lists no members")
    found = {}
    for name, record in listed.items():
        if name not in archive.namelist():
            raise _damaged(path, f"member {name} is missing")
        data = archive.read(name)
        if not isinstance(record, dict) or hashlib.sha256(data).hexdigest() != record.get("sha256"):
            raise _damaged(path, f"member {name} was altered")
        found[name] = data
    return found


def _signature(record: dict[str, Any]) -> Signature:
    """Return the signature of a manifest's record; raise an error of any type for a record of others."""
    found = Signature(
        name=_word(record["name"]),
        inputs=_specs(record["inputs"]),
        targets=_specs(record["targets"]),
        outputs=_specs(record["outputs"]),
        parameters=_specs(record["parameters"]),
        batch=None if record["batch"] is None else _count(record["batch"]),
        iterations=_count(record["iterations"]),
        trainable=_of(bool, record["trainable"]),
        solver=None if record["solver"] is None else _word(record["solver"]),
        frozen=_words(record.get("frozen", [])),
        others=_words(record.get("others", [])),
        families={_word(name): _words(of) for name, of in _of(dict, record["families"]).items()},
    )
    specs = (*found.inputs, *found.targets, *found.outputs, *found.parameters)
    if sum(math.prod(spec.shape) for spec in specs) > MAX_ENTRIES:
        raise ValueError("its arrays have more numbers than any computer holds")
    names = [spec.name for spec in found.parameters]
    members = [name for each in found.families.values() for name in each]
    if not all(found.families.values()) or len(set(members)) < len(members) or not set(members) <= set(names):
        raise ValueError("its families are not of its parameters")
    return found


def _specs(records: Any) -> tuple[TensorSpec, ...]:
    found = tuple(_spec(each) for each in _of(list, records))
    if len({spec.name for spec in found}) < len(found):
        raise ValueError("its signature has a name twice")
    return found


def _spec(record: dict[str, Any]) -> TensorSpec:
    shape, dtype = tuple(_count(size) for size in _of(list, record["shape"])), _word(record["dtype"])
    if dtype not in DTYPES or len(shape) > MAX_RANK:
        raise ValueError(f"an array of type {dtype[:40]} and {len(shape)} dimensions is none of a program")
    threshold, output, units = record["threshold"], record.get("output"), record.get("units")
    channels = record.get("channels")
    if channels not in (None, 1, len(shape) - 1):
        raise ValueError(f"channels are counted along the first or the last axis of a sample, not {channels}")
    return TensorSpec(
        _word(record["name"]),
        shape,
        dtype,
        None if record["classes"] is None else _count(record["classes"]),
        None if threshold is None else float(threshold),
        None if output is None else _word(output),
        None if units is None else Units.from_record(units),
        None if channels is None else _count(channels),
    )


def _of(kind: type[Any], value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, found {type(value).__name__}")
    return value


def _word(value: Any) -> str:
    return str(_of(str, value))


def _words(value: Any) -> tuple[str, ...]:
    return tuple(_word(each) for each in _of(list, value))


def _count(value: Any) -> int:
    if not 0 <= _of(int, value) < 2**48:
        raise ValueError(f"expected a count, found {value}")
    return int(value)
