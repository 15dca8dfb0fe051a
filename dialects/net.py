"""The net dialect: the network as written. Frontends meet here; nothing after it knows which one.

A network holds operations (:mod:`pjc.dialects.ops`), views between them, and loops.
"""

from __future__ import annotations

from xdsl.dialects.builtin import DictionaryAttr, IntegerAttr, StringAttr, SymbolNameConstraint, i64
from xdsl.ir import Dialect, Region
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def, region_def, traits_def
from xdsl.traits import NoTerminator, SymbolOpInterface

from pjc.dialects.declarations import verify_dims, verify_outputs, verify_sources
from pjc.dialects.loops import AtOp, ForOp, YieldOp
from pjc.dialects.nodes import OutputOp, SourceOp


@irdl_op_definition
class NetworkOp(IRDLOperation):
    """A network and its training requirement: ``net.network @mlp dims {batch = 128} { ... }``."""

    name = "net.network"

    sym_name = prop_def(SymbolNameConstraint())
    dims = prop_def(DictionaryAttr)
    body = region_def("single_block")

    traits = traits_def(NoTerminator(), SymbolOpInterface())

    assembly_format = "$sym_name `dims` $dims attr-dict-with-keyword $body"

    def __init__(self, name: str, dims: dict[str, int], body: Region) -> None:
        values = {key: IntegerAttr(size, i64) for key, size in dims.items()}
        super().__init__(
            properties={"sym_name": StringAttr(name), "dims": DictionaryAttr(values)},
            regions=[body],
        )

    def verify_(self) -> None:
        found = list(self.body.block.ops)
        verify_dims(self.dims)
        verify_sources(self.dims, [op for op in found if isinstance(op, SourceOp)])
        verify_outputs(op for op in found if isinstance(op, OutputOp))


NET = Dialect("net", [NetworkOp, ForOp, YieldOp, AtOp])
