"""What ``--mesh`` and ``mesh=`` say: how many devices split the samples, the features and the loops."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from pjc.diagnostics import mistake
from pjc.dialects.axes import MESH_AXES
from pjc.numerals import is_whole

AUTO = "auto"
EXAMPLE = "a mesh is written as in sample=4,feature=2,stack=2, or auto"


def parse_mesh(given: str | Mapping[str, int] | None) -> dict[str, int] | str | None:
    """Return the size of every axis of a mesh; those not given are 1. "auto" and None stay.

    Raises:
        DiagnosticError: for an unknown or repeated axis, and for a size that is no positive whole number.
    """
    if given is None or given == AUTO:
        return None if given is None else AUTO
    if not isinstance(given, str | Mapping):
        raise mistake(f"a mesh is a text or a mapping, found {type(given).__name__}", EXAMPLE)
    words = _words(given) if isinstance(given, str) else list(given.items())
    sizes = dict.fromkeys(MESH_AXES, 1)
    seen: set[str] = set()
    for axis, size in words:
        if axis not in MESH_AXES:
            raise mistake(f"unknown mesh axis '{axis}'; known are {', '.join(MESH_AXES)}", EXAMPLE)
        if axis in seen:
            raise mistake(f"mesh axis '{axis}' is given twice", EXAMPLE)
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size < 2**31:
            raise mistake(f"mesh axis '{axis}' takes a whole number from 1, found {size!r}", EXAMPLE)
        seen.add(axis)
        sizes[axis] = size
    return sizes


def _words(text: str) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for word in text.split(","):
        axis, equals, size = (each.strip() for each in word.partition("="))
        if not equals:
            raise mistake(f"'{word.strip()}' is no axis of a mesh", EXAMPLE)
        found.append((axis, int(size) if is_whole(size) else size))
    return found


def factorizations(devices: int) -> list[dict[str, int]]:
    """Return every mesh of so many devices."""
    divisors = [size for size in range(1, devices + 1) if devices % size == 0]
    return [
        {"sample": sample, "feature": feature, "stack": devices // (sample * feature)}
        for sample in divisors
        for feature in divisors
        if devices % (sample * feature) == 0
    ]


def show(sizes: Mapping[str, int]) -> str:
    """Return a mesh as ``--mesh`` takes it."""
    return ",".join(f"{axis}={sizes[axis]}" for axis in MESH_AXES if sizes[axis] > 1) or "sample=1"


def check_devices(sizes: Mapping[str, int]) -> None:
    """Raise DiagnosticError unless there are as many devices as the mesh has."""
    import jax

    found, asked = len(jax.devices()), prod(sizes.values())
    if asked != found:
        cpu = jax.default_backend() == "cpu"
        advice = f"--devices {asked} makes {asked} devices of this computer's CPU" if cpu else EXAMPLE
        raise mistake(f"mesh {show(sizes)} is for {asked} devices, and there are {found}", advice)
