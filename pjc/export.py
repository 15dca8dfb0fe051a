"""From a source and parameters to an ONNX model of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import IntegerAttr, ModuleOp

from pjc.diagnostics import DiagnosticError, mistake
from pjc.dialects import net
from pjc.dialects.view import shape_of
from pjc.onnx import needs_onnx
from pjc.options import Options
from pjc.passes.analysis.graph import only
from pjc.passes.find_multiples import FindMultiplesPass
from pjc.passes.fuse import FusePass
from pjc.passes.label import LabelPass
from pjc.passes.unroll import UnrollPass
from pjc.runtime.files import replace_file
from pjc.runtime.projections.multiples import fitted
from pjc.runtime.units import Units
from pjc.sources import Source
from pjc.universe import context

OPEN_BATCHES = (1009, 1013, 1019, 1021, 1031, 1033, 1039, 1049, 1051, 1061)


@dataclass(frozen=True)
class Asks:
    """How whole numbers are written."""

    opset: int | None = None

    @staticmethod
    def fitted(
        array: NDArray[Any], levels: tuple[float, ...], axes: tuple[int, ...]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return whole numbers and what they are times, as ``apply`` takes them."""
        whole, scale = fitted(jnp.asarray(array), levels, axes)
        return np.asarray(whole), np.asarray(scale)


def export(
    source: Source,
    options: Options,
    params: Mapping[str, Any],
    path: Path,
    units: Mapping[str, Units],
    opset: int | None = None,
) -> tuple[str, ...]:
    """Write the network with these parameters as an ONNX model; the file appears whole or not at all.

    Outputs are in ``units``, by their names; others are as the network gives them. Returns why the model's
    results may differ from those of ``apply`` in the last bits; nothing where they are the same.

    Raises:
        DiagnosticError: if the package onnx is missing, the network calls operators of the user's own, or the
            source starts behind the network.
        OSError: if the file cannot be written.
    """
    with needs_onnx("to_onnx"):
        from pjc.onnx.exporter import export_model

    if source.stage != "net":
        raise mistake(f"a network is exported, and the source starts at {source.stage}", "export from net")
    opened, batch = _with_open_batch(source, options)
    module = opened.clone()
    # Marked before loops are unrolled, and fused, as what is applied is: so that both round alike.
    for each in (FindMultiplesPass(), LabelPass(), FusePass(), UnrollPass()):
        each.apply(context(), module)
    made = export_model(module, params, source.name, batch, units, source.names(options), Asks(opset))
    replace_file(path, lambda temporary: temporary.write_bytes(made.model.SerializeToString()))
    return made.why


def _with_open_batch(source: Source, options: Options) -> tuple[ModuleOp, int | None]:
    """Return the network with a batch whose size divides no other, so that it can be told from them.

    A network that only takes the batch that it was compiled for is returned as it is.
    """
    module = source.start(options).module
    network = only(module, net.NetworkOp)
    if not isinstance(network.dims.data.get("batch"), IntegerAttr) or not source.has_batch:
        return module, None
    sizes = {size for op in module.walk() for value in op.results for size in shape_of(value)}
    batch = next(prime for prime in OPEN_BATCHES if all(size % prime for size in sizes))
    try:
        return source.start(replace(options, batch=batch)).module, batch
    except DiagnosticError:
        return module, None
