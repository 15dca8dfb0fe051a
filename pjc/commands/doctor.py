"""``pjc doctor``: what pjc runs on here, and whether it works."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pjc import __version__
from pjc.commands.arguments import Usage, parse
from pjc.commands.shared import shown_bytes
from pjc.diagnostics import printable
from pjc.fields import Switch, option
from pjc.interrupts import interrupts_wait
from pjc.passes.solvers import DouglasRachford, Sweep
from pjc.reading import reason

if TYPE_CHECKING:
    from pjc.runtime.program import Program

USAGE = Usage(
    prog="pjc doctor",
    usage="pjc doctor [--json]",
    description="Says what pjc runs on here, and tries it out in some seconds: compiles a small network,\n"
    "trains it by a step with and without optimizations, saves it and reads it back. Ends with code 1\n"
    "if anything failed.",
)
OPTIONAL = {
    "onnx": "pip install 'pjc[onnx]' for ONNX models",
    "matplotlib": "pip install 'pjc[plot]' for pjc plot",
    "pillow": "pip install 'pjc[images]' for image files",
    "shtab": "pip install 'pjc[completion]' for completion in the shell",
    "flax": "pip install flax for modules of Flax",
    "equinox": "pip install equinox for modules of Equinox",
}
"""Packages that pjc works without, and what they are for."""
_LEAST_PYTHON = (3, 11)
_TOLERANCE = 1e-4
"""How far numbers of one step may be apart that are computed in another order."""
_NETWORK = """\
input x: f32[batch, 4]
target y: class[batch, 2]
param w: f32[4, 3] = he_normal
param b: f32[3] = zeros
param v: f32[3, 2] = he_normal
h = sum_relu(x @ w, b)
output z = h @ v
require cross_entropy(z, y)
"""


@dataclass(frozen=True)
class Arguments:
    """The arguments of ``pjc doctor``."""

    as_json: bool = option(False, kind=Switch(), flags=("--json",), help="print all as JSON", shown="")


@dataclass(frozen=True)
class Finding:
    """One line of what was found: of what, whether it is well, and what to do if it is not."""

    name: str
    ok: bool
    found: str
    advice: str = ""


def main(arguments: Sequence[str]) -> int:
    """Run ``pjc doctor``; return 1 if anything is not as it should be."""
    given = parse(Arguments, USAGE, arguments)
    findings = []
    for each in examined():
        findings.append(each)
        if not given.as_json:  # by no library's means: it may be the one that is missing
            state, advice = "ok" if each.ok else "failed", f"; {each.advice}" if each.advice else ""
            print(printable(f"{state:<8}{each.name:<17}{each.found}{advice}"), flush=True)
    ok = all(each.ok for each in findings)
    if given.as_json:
        print(json.dumps({"ok": ok, "findings": [asdict(each) for each in findings]}, indent=2))
    return 0 if ok else 1


def examined() -> Iterator[Finding]:
    """Yield all that is looked at, one after another, as it is found."""
    yield Finding("pjc", True, f"{__version__}, in {Path(__file__).resolve().parent.parent}")
    found = platform.python_version()
    wanted = ".".join(map(str, _LEAST_PYTHON))
    yield Finding("python", sys.version_info >= _LEAST_PYTHON, found, _unless(
        sys.version_info >= _LEAST_PYTHON, f"pjc needs Python {wanted} or later"))  # fmt: skip
    yield Finding("system", True, f"{platform.system()} {platform.release()}, {platform.machine()}")
    for name, least in required_packages():
        yield _package(name, least)
    for name, use in OPTIONAL.items():
        version = _version(name)
        yield Finding(name, True, version or "not installed", _unless(version is not None, use))
    with interrupts_wait():  # while libraries are loaded
        computer = [tried(name, look, advice) for name, look, advice in _COMPUTER]
    yield from computer
    with tempfile.TemporaryDirectory(prefix="pjc-doctor-", ignore_cleanup_errors=True) as folder:
        for name, look in _TRIALS.items():
            yield tried(name, lambda look=look: look(Path(folder)), _REPORT)  # type: ignore[misc]


def required_packages() -> list[tuple[str, tuple[int, ...]]]:
    """Return the packages that pjc needs, and the least version of each."""
    try:
        wanted = metadata.requires("pjc") or []
    except metadata.PackageNotFoundError:
        return []
    found = (re.fullmatch(r"([\w.-]+)>=([\d.]+)", each.replace(" ", "")) for each in wanted)
    return [(each[1], _numbers(each[2])) for each in found if each is not None]


def _package(name: str, least: tuple[int, ...]) -> Finding:
    version, wanted = _version(name), ".".join(map(str, least))
    if version is None:
        return Finding(name, False, "not installed", f"pip install '{name}>={wanted}'")
    ok = _numbers(version) >= least
    return Finding(name, ok, version, _unless(ok, f"pjc needs {wanted} or later: pip install -U {name}"))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers that a version begins with."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def _unless(ok: bool, advice: str) -> str:
    return "" if ok else advice


def tried(name: str, look: Callable[[], str], advice: str) -> Finding:
    """Return what looking at something found; whatever it raises is what was found, with the advice."""
    try:
        return Finding(name, True, look())
    except Exception as error:  # of any library, in any state that an installation may be in
        return Finding(name, False, f"{type(error).__name__}: {reason(error)}", advice)


# What the computer has.


def _devices() -> str:
    import jax

    found = [
        each.platform if each.device_kind == each.platform else f"{each.platform} {each.device_kind}"
        for each in jax.local_devices()
    ]
    return ", ".join(f"{found.count(each)} x {each}" for each in dict.fromkeys(found))


def _threads() -> str:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{usable} of {os.cpu_count()} processors"


def _memory() -> str:
    from pjc.runtime.device import device_memory

    memory = device_memory()
    return f"{shown_bytes(memory)}, of the first device" if memory else "unknown; give --memory"


def _temporary() -> str:
    with tempfile.NamedTemporaryFile(prefix="pjc-doctor-") as file:
        file.write(b"pjc" * 1000)
        file.flush()
    return tempfile.gettempdir()


def _cache() -> str:
    """Return where data sets are kept that are fetched; raise if nothing can be written there."""
    folder = Path(os.environ.get("SCIKIT_LEARN_DATA", "~/scikit_learn_data")).expanduser()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(13, f"{there} cannot be written to")
    return f"{folder}" + ("" if folder.exists() else ", which is made when it is needed")


_COMPUTER = (
    ("devices", _devices, "JAX finds none: pip install -U jax jaxlib, or set JAX_PLATFORMS=cpu"),
    ("threads", _threads, ""),
    ("memory", _memory, "give --memory"),
    ("temporary files", _temporary, "set TMPDIR to a folder that can be written to and has room"),
    ("data cache", _cache, "set SCIKIT_LEARN_DATA to a folder that can be written to"),
)


# What pjc does.

_REPORT = "reinstall pjc and its packages (pip install --force-reinstall pjc); if it stays so, report it"


@cache
def _compiled(solver: str, level: int) -> Program:
    from pjc.driver import compile_text
    from pjc.options import Options

    return compile_text(_NETWORK, Options(solver=solver, level=level, batch=4)).program()


def _data() -> tuple[Any, Any]:
    import jax.numpy as jnp

    return jnp.arange(16, dtype=jnp.float32).reshape(4, 4) / 16 - 0.4, jnp.asarray([0, 1, 1, 0])


def _compile(folder: Path) -> str:
    program = _compiled(Sweep.name, 2)
    shape = program.apply(program.init(0), _data()[0]).shape
    if tuple(shape) != (4, 2):
        raise ValueError(f"expected outputs of shape (4, 2), found {tuple(shape)}")
    return "a small network compiles and runs"


def _step(program: Program) -> dict[str, Any]:
    """Return the parameters after a step of training on a batch."""
    params = program.init(0)
    if not program.sweeps:
        return dict(program.update(params, *_data())[0])
    return dict(program.separate(program.step(program.start(params), *_data())[0].params))


def _same_step(solver: str) -> Callable[[Path], str]:
    def look(folder: Path) -> str:
        import numpy as np

        plain, best = (_step(_compiled(solver, level)) for level in (0, 2))
        before = _compiled(solver, 0).init(0)

        def apart(others: dict[str, Any]) -> float:
            return max(float(np.max(np.abs(np.subtract(each, others[name])))) for name, each in plain.items())

        away, moved = apart(best), apart(before)
        if not away < _TOLERANCE or not moved > 0:
            raise ValueError(f"-O0 and -O2 differ by {away:.2g} after a step of {moved:.2g}")
        return f"a step of {moved:.2g} is the same with -O0 and -O2, but for {away:.1g}"

    return look


def _save(folder: Path) -> str:
    import numpy as np

    import pjc

    program, path = _compiled(Sweep.name, 2), folder / "doctor.pjx"
    program.save(path)
    params, x = program.init(0), _data()[0]
    one, other = (np.asarray(each.apply(params, x)) for each in (program, pjc.load(path)))
    if not np.array_equal(one, other):
        raise ValueError("a network that was saved and read back computes something else")
    return "a network that is saved and read back computes the same"


_TRIALS: dict[str, Callable[[Path], str]] = {
    "compile": _compile,
    **{f"train by {solver}": _same_step(solver) for solver in (Sweep.name, DouglasRachford.name)},
    "save and load": _save,
}
