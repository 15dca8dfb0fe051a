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
import zipfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy
from jax import export as jax_export

from pjc.runtime.files import replace_file
from pjc.runtime.outer_settings import DISPLACEMENT, Outer
from pjc.runtime.program import Program, ProgramError, Signature, Tensors, TensorSpec
from pjc.runtime.units import Units

FORMAT = 2
"""The version of the layout and of the texts in it; a reader refuses others."""
PLATFORMS = ("cpu", "cuda", "tpu")
MANIFEST = "manifest.json"
INITIAL = "initial.safetensors"
MAX_MEMBER_BYTES = 2**30
MAX_MEMBERS = 64


class ArtifactError(ProgramError):
    """A ``.pjx`` file that cannot be read; the message says why and what to do."""


def save(program: Program, path: Path, source: dict[str, object], without: Collection[str] = ()) -> None:
    """Write a program, ``without`` some of its entry points; the file appears whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    members = {f"ir/{stage}.mlir": program.ir(stage).encode() for stage in program.stages()}
    for entry in (each for each in program.entries() if each not in without):
        exported = jax_export.export(program.jitted(entry), platforms=PLATFORMS)(
            *program.abstract_arguments(entry)
        )
        members[f"stablehlo/{entry}.bin"] = bytes(exported.serialize())
    if program.initial:
        arrays = {name: np.ascontiguousarray(value) for name, value in program.initial.items()}
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
    """Write the archive; equal members give equal files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def load(
    path: str | Path,
    recompile: Callable[[dict[str, Any], int], Program] | None = None,
    export: Callable[[dict[str, Any], Tensors, Mapping[str, Units], Path], None] | None = None,
    outer: Callable[[dict[str, Any]], Outer] | None = None,
) -> Program:
    """Return the program of a ``.pjx`` file.

    Args:
        path: the file.
        recompile: called with the recorded source and a batch size, where ``apply`` is asked for another
            batch than the compiled one.
        export: called with the recorded source, parameters, units of outputs and a path, to write an ONNX
            model.
        outer: called with the recorded source, for the outer step that takes the place of the file's.

    Raises:
        ArtifactError: if the file is missing, truncated, altered, or of another format.
    """
    path = Path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            found = _read(path, archive)
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError) as error:
        raise _damaged(path, str(error)) from error
    signature, functions, texts, source, initial = found
    if outer is not None:
        functions = _with_outer(path, signature, functions, outer(source))
    again = None if recompile is None else (lambda size: recompile(source, size))
    exporter = None if export is None else (lambda params, units, to: export(source, params, units, to))
    data = path.read_bytes()

    def saver(program: Program, other: Path) -> None:
        if program.signature == signature:
            replace_file(other, lambda temporary: temporary.write_bytes(data))
        else:  # it was given units since
            save(program, other, source, set(program.entries()) - found.functions.keys())

    return Program(signature, functions, texts, again, saver, exporter, initial)


def _with_outer(path: Path, signature: Signature, functions: dict[str, Any], outer: Outer) -> dict[str, Any]:
    """Return the entry points of a file with another outer step."""
    from pjc.runtime.outer import step_entries

    if DISPLACEMENT not in functions:
        raise ArtifactError(
            f"the solver of {path}, {signature.solver}, has no outer step; load it without one"
        )
    return {**functions, **step_entries(outer, signature.members, functions)}


def _damaged(path: Path, why: str) -> ArtifactError:
    return ArtifactError(f"{path} is no whole .pjx file: {why}; compile the network again")


class _Found(NamedTuple):
    """What a file holds."""

    signature: Signature
    functions: dict[str, Any]
    texts: dict[str, str]
    source: dict[str, Any]
    initial: dict[str, Any]


def _read(path: Path, archive: zipfile.ZipFile) -> _Found:
    manifest = _manifest(path, archive)
    members = _members(path, archive, manifest)
    try:
        signature = _signature(manifest["signature"])
        source = manifest["source"]
        initial: dict[str, Any] = safetensors.numpy.load(members[INITIAL]) if INITIAL in members else {}
        texts = {stage: members[f"ir/{stage}.mlir"].decode() for stage in manifest["stages"]}
        functions = {
            name.removeprefix("stablehlo/").removesuffix(".bin"): jax_export.deserialize(bytearray(data)).call
            for name, data in members.items()
            if name.startswith("stablehlo/")
        }
    except ArtifactError:
        raise
    except Exception as error:  # jax.export names no exception for bytes that it cannot read
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
    return _Found(signature, functions, texts, source, initial)


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    if MANIFEST not in archive.namelist():
        raise _damaged(path, f"it holds no {MANIFEST}")
    try:
        manifest = json.loads(_member(path, archive, MANIFEST))
        version = manifest["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"its manifest cannot be read ({error})") from error
    if version != FORMAT:
        older = isinstance(version, int) and version < FORMAT
        advice = "compile the network again" if older else "upgrade pjc"
        raise ArtifactError(f"{path} has format {version}, this pjc reads format {FORMAT}; {advice}")
    return dict(manifest)


def _members(path: Path, archive: zipfile.ZipFile, manifest: dict[str, Any]) -> dict[str, bytes]:
    """Return the members that the manifest lists, each checked against it."""
    listed = manifest.get("members")
    if not isinstance(listed, dict) or len(listed) > MAX_MEMBERS:
        raise _damaged(path, "its manifest lists no members")
    found = {}
    for name, record in listed.items():
        if name not in archive.namelist():
            raise _damaged(path, f"member {name} is missing")
        data = _member(path, archive, name)
        if hashlib.sha256(data).hexdigest() != record.get("sha256"):
            raise _damaged(path, f"member {name} was altered")
        found[name] = data
    return found


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > MAX_MEMBER_BYTES:
        raise _damaged(path, f"member {name} claims {info.file_size} bytes")
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, ValueError, RuntimeError) as error:
        raise _damaged(path, str(error)) from error
    except Exception as error:  # zlib.error, which zipfile passes on as it is
        raise _damaged(path, f"member {name}: {error}") from error


def _signature(record: dict[str, Any]) -> Signature:
    def specs(key: str) -> tuple[TensorSpec, ...]:
        return tuple(
            TensorSpec(
                str(each["name"]),
                tuple(int(size) for size in each["shape"]),
                str(each["dtype"]),
                each["classes"],
                each["threshold"],
                each.get("output"),
                None if each.get("units") is None else Units.from_record(each["units"]),
            )
            for each in record[key]
        )

    return Signature(
        name=str(record["name"]),
        inputs=specs("inputs"),
        targets=specs("targets"),
        outputs=specs("outputs"),
        parameters=specs("parameters"),
        batch=record["batch"],
        iterations=int(record["iterations"]),
        trainable=bool(record["trainable"]),
        solver=record["solver"],
        frozen=tuple(map(str, record.get("frozen", ()))),
        others=tuple(map(str, record.get("others", ()))),
        families={str(name): tuple(map(str, of)) for name, of in record["families"].items()},
    )
