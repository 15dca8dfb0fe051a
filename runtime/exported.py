"""What an entry point of a file may be. All is looked at before any of it is compiled or run.

A file can be written by anyone, and its hashes made again: a module in it could call whatever the process has
registered, a Python callback among it. So there is one list of what may be called, which is what pjc itself
emits; :func:`require_plain` holds files that are written and files that are read to it.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax.export import Exported
from jax.interpreters import mlir
from jaxlib.mlir import ir

from pjc.diagnostics import PjcError

PLATFORMS = ("cpu", "cuda", "tpu")
SVD_CALLS = ("lapack_sgesdd_ffi", "lapack_dgesdd_ffi", "cusolver_gesvdj_ffi")
CUSTOM_CALLS = (*SVD_CALLS, "Eigh", "Qr", "ProductOfElementaryHouseholderReflectors")
"""The custom calls that pjc emits: singular values, of the set ``rank``, on CPU, CUDA and TPU."""
COMPOSITES = ("chlo.top_k",)
"""The composite operations that pjc emits."""
_DIALECTS = ("builtin", "func", "stablehlo", "chlo")
_TALKING = tuple(
    f"stablehlo.{name}"
    for name in (
        *("infeed", "outfeed", "send", "recv", "create_token", "after_all", "all_gather", "all_reduce"),
        *("all_to_all", "reduce_scatter", "collective_permute", "collective_broadcast"),
    )
)
"""What exchanges data with others than the caller; programs in files are for one device."""


class ModuleError(PjcError, ValueError):
    """An entry point that is none of a file of pjc's; the text says what it holds."""


_READER = """
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
folder, above, memory, seconds = sys.argv[1:]
package = sys.modules["jaxlib"] = ModuleType("jaxlib")
package.__path__ = [folder]
try:
    ir, stablehlo = import_module("jaxlib.mlir.ir"), import_module("jaxlib.mlir.dialects.stablehlo")
except ImportError:  # of a jaxlib whose modules need what the package itself does
    for name in [each for each in sys.modules if each.partition(".")[0] == "jaxlib"]:
        del sys.modules[name]
    sys.path.append(above)
    ir, stablehlo = import_module("jaxlib.mlir.ir"), import_module("jaxlib.mlir.dialects.stablehlo")
given = sys.stdin.buffer.read()
try:
    import resource
    def limit(kind, most):
        now = resource.getrlimit(kind)
        known = [each for each in (most, *now) if each != resource.RLIM_INFINITY]
        resource.setrlimit(kind, (min(known), now[1]))
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_CPU, int(seconds))
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit(resource.RLIMIT_AS, mapped + int(memory))
except (ImportError, OSError, ValueError):  # of a system without such limits
    pass
while given:
    size = int.from_bytes(given[:8])
    with ir.Context() as context:
        context.enable_multithreading(False)  # each thread would map memory of its own
        stablehlo.register_dialect(context)
        try:
            str(stablehlo.deserialize_portable_artifact(context, given[8 : 8 + size]))
        except MemoryError:
            sys.exit(FULL)
        except Exception:
            pass
    given = given[8 + size :]
"""
"""What another Python reads entry points with: with MLIR alone of jaxlib, which takes a third of the time."""
_FULL = 12
"""What that Python ends with where the memory it may take is not enough."""
_SECONDS = 60.0
_MEMORY = 2**29
_MEMORY_RATIO = 8
"""The bytes that reading entry points may take: so many, and so many for each of theirs."""
_CPU = 8
_CPU_BYTES = 2**19
"""The seconds of a processor that it may take: so many, and one for each so many bytes."""


def require_readable(exported: Mapping[str, Exported]) -> None:
    """Raise ModuleError where an entry point cannot be read in order, as another process finds out.

    MLIR's reader of bytecode looks after most damage, crashes at some, and believes counts: it takes memory
    for as many values of a region as a module claims before it has read one. The other process has limits of
    memory and time for what the modules' size asks for, on systems that have such limits. What it can read,
    or refuses in order, is left to this process. Takes 0.1 s. Where no other Python can be started nothing is
    raised.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return
    modules = [each.mlir_module_serialized for each in exported.values()]
    given = b"".join(len(module).to_bytes(8) + module for module in modules)
    memory, seconds = _MEMORY + _MEMORY_RATIO * len(given), _CPU + len(given) // _CPU_BYTES
    folder = Path(jaxlib.__file__).parent
    reader = _READER.replace("FULL", str(_FULL))
    command = [sys.executable, "-I", "-S", "-c", reader, str(folder), str(folder.parent)]
    with suppress(OSError):
        try:
            done = subprocess.run(
                [*command, str(memory), str(seconds)],
                input=given,
                capture_output=True,
                timeout=_SECONDS + seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ModuleError(f"its entry points are not read in {_SECONDS + seconds:.0f} s") from None
        _require_ended(done.returncode, memory, seconds)


def _require_ended(code: int, memory: int, seconds: int) -> None:
    """Raise ModuleError where the other process did not end in order."""
    if code == _FULL:
        raise ModuleError(f"its entry points are damaged: reading them takes more than {memory >> 20} MB")
    if code == -getattr(signal, "SIGXCPU", 0) and code:
        raise ModuleError(f"its entry points are damaged: reading them takes more than {seconds} s")
    if code < 0:
        raise ModuleError("its entry points are damaged in a way that MLIR's reader does not survive")


def require_plain(entry: str, exported: Exported) -> None:
    """Raise ModuleError unless an entry point computes alone: it calls nothing but what pjc emits.

    Its main function must also take and give what jax.export says of it, for one device of all platforms.
    """
    if exported.platforms != PLATFORMS or exported.nr_devices != 1:
        raise ModuleError(
            f"entry point {entry} is for {exported.nr_devices} devices of {', '.join(exported.platforms)}; "
            f"expected one of {', '.join(PLATFORMS)}"
        )
    if exported.disabled_safety_checks:
        raise ModuleError(f"entry point {entry} asks for checks to be left out, and files of pjc do not")
    if exported.ordered_effects or exported.unordered_effects:
        raise ModuleError(f"entry point {entry} has effects, and programs of pjc have none")
    with mlir.make_ir_context():
        module = ir.Module.parse(exported.mlir_module())
        for op in _walk(module.operation):
            _require_known(entry, op)
        _require_main(entry, module, exported)


def require_fits(entry: str, exported: Exported, arguments: Any, results: Mapping[str, Any]) -> None:
    """Raise ModuleError unless an entry point takes these shapes, and gives those where they are known."""
    taken = jax.tree.unflatten(exported.in_tree, exported.in_avals)
    if _shapes(taken) != _shapes((tuple(arguments), {})):
        raise ModuleError(f"entry point {entry} takes other arguments than the signature says")
    given = jax.tree.unflatten(exported.out_tree, exported.out_avals)
    first = given[0] if isinstance(given, tuple) and given else given
    if not isinstance(first, dict) or (entry in results and _shapes(first) != _shapes(results[entry])):
        raise ModuleError(f"entry point {entry} gives other results than the signature says")


def _shapes(tree: Any) -> Any:
    """Return the leaves of a tree as shapes and types, with its structure."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(tuple(leaf.shape), str(leaf.dtype)) for leaf in leaves]


def _walk(operation: Any) -> Iterator[Any]:
    """Yield an operation and all in it, however deep."""
    waiting = [operation]
    while waiting:
        op = waiting.pop().operation
        yield op
        for region in op.regions:
            for block in region.blocks:
                waiting.extend(block.operations)


def _require_known(entry: str, op: Any) -> None:
    name = str(op.name)
    if name.partition(".")[0] not in _DIALECTS or name in _TALKING:
        raise ModuleError(f"entry point {entry} holds the operation {name}, which pjc does not emit")
    if name == "stablehlo.custom_call":
        _require_call(entry, op)
    elif any(each in op.attributes for each in ("mhlo.frontend_attributes", "mhlo.backend_config")):
        raise ModuleError(f"entry point {entry} holds instructions for a backend, which pjc does not emit")
    if name == "stablehlo.composite" and _text(op, "name") not in COMPOSITES:
        raise ModuleError(
            f"entry point {entry} holds the composite {_text(op, 'name')!r}, and pjc emits none but "
            f"{', '.join(COMPOSITES)}"
        )


def _text(op: Any, attribute: str) -> str:
    return str(op.attributes[attribute].value) if attribute in op.attributes else ""


def _require_call(entry: str, op: Any) -> None:
    target = _text(op, "call_target_name")
    if target not in CUSTOM_CALLS:
        raise ModuleError(
            f"entry point {entry} calls {target!r}, code outside of the file; only the custom calls that pjc "
            f"emits are allowed: {', '.join(CUSTOM_CALLS)}"
        )
    if "called_computations" in op.attributes and len(op.attributes["called_computations"]):
        raise ModuleError(f"entry point {entry} hands functions to {target!r}, and pjc does not")
    if target in SVD_CALLS and not _is_svd(op, target):
        # LAPACK writes as much as its arguments say, wherever the results end.
        raise ModuleError(f"entry point {entry} calls {target!r} with results of other sizes than it has")


def _is_svd(op: Any, target: str) -> bool:
    """Whether a call's results are as large as the singular value decomposition of its operand is."""
    if len(op.operands) != 1 or len(op.results) != 5:
        return False
    types = [value.type for value in (*op.operands, *op.results)]
    shape, *found = [tuple(ir.RankedTensorType(each).shape) for each in types]
    if len(shape) < 2:
        return False
    *batch, m, n = shape
    before, k = tuple(batch), min(m, n)
    sides = [((*before, m, k), (*before, k, n)), ((*before, m, m), (*before, n, n))]
    if target.startswith("lapack"):
        mode = str(op.attributes["mhlo.backend_config"]["mode"]).partition(" ")[0]
        if mode not in ("83", "65"):  # of the letters S and A: the first k, or all
            return False
        sides = sides[:1] if mode == "83" else sides[1:]
    else:
        sides.append(((*before, m, k), (*before, n, k)))
    return (
        found[0] == shape and found[1] == (*before, k) and tuple(found[2:4]) in sides and found[4] == before
    )


def _require_main(entry: str, module: Any, exported: Exported) -> None:
    """Raise ModuleError unless the main function has the types that jax.export calls it with."""
    mains = [op for op in module.body.operations if op.operation.name == "func.func" and _is_main(op)]
    kept = exported.module_kept_var_idx
    if (
        len(mains) != 1
        or list(kept) != sorted(set(kept))
        or not set(kept) <= set(range(len(exported.in_avals)))
    ):
        raise ModuleError(f"entry point {entry} has no main function that it could be called by")
    kind = ir.FunctionType(ir.TypeAttr(mains[0].attributes["function_type"]).value)
    # The first argument is the platform's number, as wide as JAX's whole numbers were when it was exported.
    platforms = [ir.Type.parse(text) for text in ("tensor<i32>", "tensor<i64>")]
    inputs = [_type(exported.in_avals[at]) for at in kept]
    outputs = [_type(each) for each in exported.out_avals]
    first, *rest = kind.inputs
    if first not in platforms or rest != inputs or list(kind.results) != outputs:
        raise ModuleError(f"entry point {entry} says that it takes or gives other arrays than it does")


def _is_main(op: Any) -> bool:
    return _text(op, "sym_name") == "main"


def _type(aval: Any) -> ir.Type:
    kind = mlir.dtype_to_ir_type(np.dtype(aval.dtype))
    return ir.RankedTensorType.get(aval.shape, kind, loc=ir.Location.unknown())
