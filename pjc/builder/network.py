"""Networks, built by calls."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects.builtin import ModuleOp, f32, f64

from pjc.builder.checks import checked
from pjc.builder.declarations import Declarations
from pjc.builder.emitter import Emitter
from pjc.builder.images import Images
from pjc.builder.loops import Loops
from pjc.builder.losses import Losses
from pjc.diagnostics import mistake
from pjc.dialects import ops

ELEMENTS = {"f32": f32, "f64": f64}


@checked
@dataclass(eq=False)
class Site(Images, Losses, Loops, Declarations):
    """All that can be built, at a place of a network."""

    def within(self, name: str) -> Site:
        """Return a place whose labels begin with a name: ``net.within("hidden")`` makes ``hidden.matmul``."""
        return Site(self.emitter, self.label(name), self.span)


class Network(Site):
    """A network called ``name``, to which its methods add.

    With ``batch`` the first axis of inputs and targets is called so where it has that size and no names are
    given. ``dtype`` is the type of all numbers, f32 or f64. Methods raise ShapeError, with a sentence, for
    what does not fit.
    """

    def __init__(self, name: str, batch: int | None = None, dtype: str = "f32") -> None:
        if not isinstance(dtype, str) or dtype not in ELEMENTS:
            raise mistake(f"a network computes in f32 or f64, found {dtype!r}")
        if not isinstance(name, str) or not name:
            raise mistake(f"a network has a name, found {name!r}")
        super().__init__(Emitter(ELEMENTS[dtype], batch, strict=True))
        self.name = name

    def __repr__(self) -> str:
        return f"Network({self.name!r}, {self.emitter.count} operations)"

    def module(self) -> ModuleOp:
        """Return a module with a copy of the network so far; raises DiagnosticError without an output."""
        if not any(isinstance(op, ops.OutputOp) for op in self.emitter.network.ops):
            raise mistake("the network has no output", "call output(name, tensor)")
        return self.emitter.module(self.name)
