"""Read an ONNX file that nobody vouches for: everything is checked before memory is taken for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np
import onnx
import onnx.inliner
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from pjc.diagnostics import Diagnostic, DiagnosticError, printable
from pjc.reading import measured, reading

MAX_BYTES = 2**31 - 1
"""The most that protobuf reads, and so the largest model."""
MAX_NODES = 20_000
MAX_DEPTH = 64
"""How deep functions may call others."""
MAX_ELEMENTS = 2**29
"""The most numbers in one tensor of a model."""
MAX_SPARSE = 2**24
"""The most that sparse tensors may hold together, with their zeros."""
MAX_SHARED = 4
"""The most that tensors may take from external files, in multiples of what the files hold."""
SLACK = 2**20
"""Bytes that they may take beyond that."""
MAX_MESSAGE = 1000
OLDEST_OPSET = 13
FLOATS = {
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
}
SMALL_FLOATS = {
    onnx.TensorProto.FLOAT8E4M3FN,
    onnx.TensorProto.FLOAT8E4M3FNUZ,
    onnx.TensorProto.FLOAT8E5M2,
    onnx.TensorProto.FLOAT8E5M2FNUZ,
    onnx.TensorProto.FLOAT4E2M1,
}
"""Types that numbers are quantized to; as tensors they are float32."""
BITS: dict[int, int] = {
    onnx.TensorProto.INT2: 2,
    onnx.TensorProto.UINT2: 2,
    onnx.TensorProto.INT4: 4,
    onnx.TensorProto.UINT4: 4,
    onnx.TensorProto.FLOAT4E2M1: 4,
}
"""Types of which a byte holds several."""
INTEGERS = {
    onnx.TensorProto.INT2,
    onnx.TensorProto.UINT2,
    onnx.TensorProto.INT4,
    onnx.TensorProto.UINT4,
    onnx.TensorProto.INT8,
    onnx.TensorProto.INT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.UINT32,
    onnx.TensorProto.UINT64,
    onnx.TensorProto.BOOL,
}
NUMBERS = FLOATS | SMALL_FLOATS | INTEGERS


def one_line(said: str, longest: int = 80) -> str:
    """Return what a model says as messages show it: printable, on one line, cut to a length."""
    shown = printable(said[:longest]).replace("\n", "\\n").replace("\t", "\\t")
    return shown if len(said) <= longest else f"{shown}..."


def refuse(message: str, hint: str | None = None) -> DiagnosticError:
    """Return the error for a model as a whole."""
    return DiagnosticError([Diagnostic(one_line(message, MAX_MESSAGE), None, hint)])


def read_model(path: Path) -> onnx.ModelProto:
    """Return the model of a file, checked, with its local functions inlined and no external data loaded.

    Raises:
        DiagnosticError: if the file cannot be read, is no valid model, or is of an older opset than 13.
    """
    measured(path, MAX_BYTES, refuse)
    with reading(path, "an ONNX model", refuse):
        data = path.read_bytes()
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise refuse(f"{path} is no whole ONNX model: {error}") from error
    return checked(model, str(path))


def checked(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Return a model that onnx's checker accepts and whose size and version pjc takes.

    Raises:
        DiagnosticError: as :func:`read_model`.
    """
    if not model.graph.node and not model.graph.output:
        raise refuse(f"{name} holds no network")
    nodes, size = _inlined(model)
    if nodes > MAX_NODES:
        raise refuse(f"{name} has {_shown(nodes)} nodes, more than {MAX_NODES:,}")
    if size > MAX_BYTES:
        raise refuse(f"the functions of {name} hold {_shown(size)} bytes where they are called, too many")
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions or not OLDEST_OPSET <= versions[0] <= onnx.defs.onnx_opset_version():
        found = f"opset {versions[0]}" if versions else "no opset"
        raise refuse(
            f"{name} is of {found}; pjc takes {OLDEST_OPSET} to {onnx.defs.onnx_opset_version()}",
            "onnx.version_converter brings a model to another opset",
        )
    for tensor in model.graph.initializer:
        check_tensor(tensor, name)
    try:
        if model.functions:
            model = onnx.inliner.inline_local_functions(model)
        # The checker looks for external data, which is read and checked elsewhere.
        bare = onnx.ModelProto()
        bare.CopyFrom(model)
        for tensor in bare.graph.initializer:
            _strip(tensor)
        onnx.checker.check_model(bare)
    except Exception as error:  # checker, inliner: ValidationError, RuntimeError and others
        first = " ".join(str(error).split())[:300]
        raise refuse(f"{name} is no valid model: {first}") from error
    return model


def _shown(count: int) -> str:
    return f"{count:,}" if count < 10**12 else "over 10^12"


def _inlined(model: onnx.ModelProto) -> tuple[int, int]:
    """Return how many nodes the graph has with functions in the place of their calls, and their bytes.

    A function that calls another twice, which calls another twice, is small in a file and huge when inlined.
    Recursive ones are left to the inliner, which refuses them.

    Raises:
        DiagnosticError: if they are nested too deep.
    """
    bodies = {(each.domain, each.name, each.overload): each.node for each in model.functions}
    known: dict[tuple[str, str, str], tuple[int, int]] = {}

    def total(nodes: Iterable[onnx.NodeProto], depth: int = 0) -> tuple[int, int]:
        if depth > MAX_DEPTH:
            raise refuse(f"the functions or subgraphs of a model are nested deeper than {MAX_DEPTH}")
        count = size = 0
        for node in nodes:
            key = node.domain, node.op_type, node.overload
            if key in bodies and key not in known:
                known[key] = 0, 0  # while its own body is counted
                known[key] = total(bodies[key], depth + 1)
            inner = [known.get(key, (1, node.ByteSize()))]
            inner += [total(graph.node, depth + 1) for graph in _graphs(node)]
            count, size = count + sum(n for n, _ in inner), size + sum(n for _, n in inner)
        return count, size

    return total(model.graph.node)


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _strip(tensor: onnx.TensorProto) -> None:
    """Take the numbers out of a tensor."""
    kind, name = tensor.data_type, tensor.name
    tensor.Clear()
    tensor.name, tensor.data_type = name, kind if kind in NUMBERS else onnx.TensorProto.FLOAT
    tensor.dims.append(0)


def check_tensor(tensor: onnx.TensorProto, name: str) -> None:
    """Raise DiagnosticError if a tensor's shape is absurd or its data are of another size."""
    if any(size < 0 for size in tensor.dims) or prod(tensor.dims) > MAX_ELEMENTS:
        raise refuse(f"tensor '{tensor.name}' of {name} has the shape {list(tensor.dims)}")
    if tensor.data_type not in NUMBERS:
        return  # refused where a node reads it
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        return
    count = prod(tensor.dims)
    raw = tensor.HasField("raw_data")
    held = len(tensor.raw_data) if raw else _listed(tensor)
    expected = _bytes_of(tensor) if raw or tensor.data_type in BITS else count
    if held != expected:
        what = "bytes" if raw else "numbers"
        raise refuse(
            f"tensor '{tensor.name}' of {name} has the shape {list(tensor.dims)}, {expected} {what}, "
            f"and holds {held}"
        )


def _bytes_of(tensor: onnx.TensorProto) -> int:
    """Return how many bytes hold the numbers of a tensor."""
    kind = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    bits = BITS.get(tensor.data_type, 8 * kind.itemsize)
    return -(-int(prod(tensor.dims)) * bits // 8)


def _listed(tensor: onnx.TensorProto) -> int:
    lists = (
        tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data
    )  # fmt: skip
    return max(len(each) for each in lists)


def folders_of(path: Path) -> list[Path]:
    """Return where the external data of a model may lie: in its folder, or where a link to it leads."""
    return list(dict.fromkeys([path.parent.resolve(), path.resolve().parent]))


def check_total(
    tensors: Sequence[onnx.TensorProto],
    sparse: Sequence[onnx.SparseTensorProto],
    name: str,
    folders: Sequence[Path],
) -> None:
    """Raise DiagnosticError if tensors hold too much together, those counted twice that share their data.

    Memory is taken for each; those that lie in other files may hold a few times what the files do.
    """
    filled = sum(prod(each.dims) for each in sparse)
    total = filled + sum(prod(each.dims) for each in tensors)
    if total > MAX_ELEMENTS:
        raise refuse(f"the tensors of {name} hold {_shown(total)} numbers, more than {MAX_ELEMENTS:,}")
    if filled > MAX_SPARSE:
        raise refuse(f"the sparse tensors of {name} hold {_shown(filled)} numbers, more than {MAX_SPARSE:,}")
    outside = [each for each in tensors if each.data_location == onnx.TensorProto.EXTERNAL]
    outside = [each for each in outside if each.data_type in NUMBERS]
    paths = {_external_path(each.name, _entries(each).get("location", ""), folders) for each in outside}
    held = sum(measured(path, None, refuse) for path in paths)
    wanted = sum(_bytes_of(each) for each in outside)
    if wanted > MAX_SHARED * held + SLACK:
        raise refuse(
            f"the tensors of {name} take {_shown(wanted)} bytes from files that hold {_shown(held)}: "
            f"more than {MAX_SHARED} of them share each"
        )


def narrowed(array: NDArray[np.generic], tensor: str, name: str) -> NDArray[np.generic]:
    """Return an array as float32.

    Raises:
        DiagnosticError: if it holds a finite number that is too large for that.
    """
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    if array.dtype.itemsize > found.itemsize:
        over = np.isfinite(array.astype(np.float64)) & ~np.isfinite(found)
        if over.any():
            raise refuse(
                f"tensor '{tensor}' of {name} holds {array[over][0]!s}, which is too large for float32"
            )
    return found


def dense(sparse: onnx.SparseTensorProto, folders: Sequence[Path]) -> NDArray[np.generic]:
    """Return the numbers of a sparse tensor, with the zeros between them.

    Raises:
        DiagnosticError: as :func:`array_of`; and if it is too large, or an index lies outside of it.
    """
    shape, name = tuple(sparse.dims), sparse.values.name
    if any(size < 0 for size in shape) or prod(shape) > MAX_SPARSE:
        raise refuse(f"the sparse tensor '{name}' of the model has the shape {list(shape)}")
    values, indices = array_of(sparse.values, folders), array_of(sparse.indices, folders)
    places = indices.astype(np.int64)
    if places.ndim == 2:
        inside = (
            ((places >= 0) & (places < np.asarray(shape))).all() if places.shape[1] == len(shape) else False
        )
        places = np.ravel_multi_index(tuple(places.T), shape) if inside else np.array([-1])
    if places.shape != values.shape or ((places < 0) | (places >= prod(shape))).any():
        raise refuse(
            f"the indices of the sparse tensor '{name}' of the model do not fit its shape {list(shape)}"
        )
    found = np.zeros(prod(shape), values.dtype)
    found[places] = values
    return found.reshape(shape)


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in tensor.external_data}


def array_of(tensor: onnx.TensorProto, folders: Sequence[Path]) -> NDArray[np.generic]:
    """Return a tensor's numbers; those outside the file are read from ``folders``.

    Types that numpy does not have become the next larger ones that it has: bfloat16 becomes float32.

    Raises:
        DiagnosticError: if it is of a type that pjc does not take, or its data lie outside of the folder, are
            missing, or are too few.
    """
    if tensor.data_type not in NUMBERS:
        raise refuse(f"tensor '{tensor.name}' of the model has a type that is no number")
    check_tensor(tensor, "the model")
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return _known(np.asarray(onnx.numpy_helper.to_array(tensor)))
    entries = _entries(tensor)
    path = _external_path(tensor.name, entries.get("location", ""), folders)
    size = _bytes_of(tensor)
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size)
        if offset < 0 or length != size:
            raise ValueError(f"{length} bytes from {offset}, expected {size} bytes")
        measured(path, None, refuse)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(size) if offset + size <= path.stat().st_size else b""
    except (OSError, ValueError) as error:
        raise refuse(f"cannot read the external data of tensor '{tensor.name}' in {path}: {error}") from error
    if len(data) != size:
        raise refuse(f"{path} is too short: tensor '{tensor.name}' needs {size} bytes from {offset}")
    whole = onnx.TensorProto(data_type=tensor.data_type, dims=tensor.dims, raw_data=data)
    return _known(np.asarray(onnx.numpy_helper.to_array(whole)))


def _known(array: NDArray[np.generic]) -> NDArray[np.generic]:
    name = array.dtype.name
    if name.startswith(("bfloat", "float4", "float8")):
        return array.astype(np.float32)
    return array.astype(name.rstrip("24") + "8") if name.rstrip("24") in ("int", "uint") else array


def _external_path(name: str, location: str, folders: Sequence[Path]) -> Path:
    """Return the file of a tensor's data, in one of the folders or below."""
    if not folders:
        raise refuse(f"tensor '{name}' keeps its data in another file, and the model comes from none")
    inside = location and not Path(location).is_absolute() and "\0" not in location
    paths = [folder / location for folder in folders] if inside else []
    found = [path.resolve() for path in paths if path.exists()] or [path.resolve() for path in paths]
    allowed = [path for path in found if any(folder in path.parents for folder in folders)]
    if not allowed:
        raise refuse(f"tensor '{name}' names the external file '{location}', which is not beside the model")
    if not allowed[0].is_file():
        raise refuse(
            f"the external file '{location}' of tensor '{name}' is missing", f"expected it in {folders[0]}"
        )
    return allowed[0]
