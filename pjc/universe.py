"""The one list of pjc's dialects and passes, by name, each imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from xdsl.context import Context
from xdsl.dialects.builtin import Builtin
from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe

DIALECTS = {
    "op": ("ops", "OP"),
    "layout": ("layout", "LAYOUT"),
    "net": ("net", "NET"),
    "view": ("view", "VIEW"),
    "feas": ("feas", "FEAS"),
    "proj": ("proj", "PROJ"),
}
"""Each dialect's module in pjc.dialects and its name there."""

PASSES = {
    "net-infer-shapes": ("infer_shapes", "InferShapesPass"),
    "net-find-multiples": ("find_multiples", "FindMultiplesPass"),
    "net-unnest": ("unnest", "UnnestPass"),
    "net-unroll": ("unroll", "UnrollPass"),
    "net-canonicalize": ("canonicalize", "CanonicalizePass"),
    "net-roll": ("roll", "RollPass"),
    "net-unroll-irregular": ("unroll_irregular", "UnrollIrregularPass"),
    "net-label": ("label", "LabelPass"),
    "net-to-feas": ("net_to_feas", "NetToFeasPass"),
    "feas-fuse": ("fuse", "FusePass"),
    "feas-legalize-bipartite": ("legalize_bipartite", "LegalizeBipartitePass"),
    "feas-bipartition": ("bipartition", "BipartitionPass"),
    "feas-levels": ("levels", "LevelsPass"),
    "feas-choose-representation": ("choose_representation", "ChooseRepresentationPass"),
    "feas-form-convolutions": ("form_convolutions", "FormConvolutionsPass"),
    "feas-to-sweep": ("feas_to_sweep", "FeasToSweepPass"),
    "feas-to-stream": ("feas_to_stream", "FeasToStreamPass"),
    "feas-to-proj": ("feas_to_proj", "FeasToProjPass"),
    "proj-partition": ("partition", "PartitionPass"),
}
"""Each pass's module in pjc.passes and its class there, in the order of the pipeline."""


def dialect_factory(name: str) -> Callable[[], Dialect]:
    """Return a function that imports and returns a dialect."""
    module, attribute = DIALECTS[name]

    def load() -> Dialect:
        dialect: Dialect = getattr(import_module(f"pjc.dialects.{module}"), attribute)
        return dialect

    return load


def pass_factory(name: str) -> Callable[[], type[ModulePass]]:
    """Return a function that imports and returns the class of a pass."""
    module, attribute = PASSES[name]

    def load() -> type[ModulePass]:
        found: type[ModulePass] = getattr(import_module(f"pjc.passes.{module}"), attribute)
        return found

    return load


def context() -> Context:
    """Return an xDSL context that knows the builtin dialect and pjc's."""
    ctx = Context()
    ctx.load_dialect(Builtin)
    for name in DIALECTS:
        ctx.register_dialect(name, dialect_factory(name))
    return ctx


UNIVERSE = Universe(
    all_dialects={name: dialect_factory(name) for name in DIALECTS},
    all_passes={name: pass_factory(name) for name in PASSES},
)
"""What stock xdsl-opt finds through the entry point ``xdsl.universe``."""
