"""Unroll the loops of a network in which one is no family of constraints."""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects.loops import ForOp
from pjc.passes.analysis.families import FamilyError
from pjc.passes.analysis.graph import problems
from pjc.passes.bipartition import BipartitionPass
from pjc.passes.canonicalize import CanonicalizePass
from pjc.passes.feas_to_proj import check_families
from pjc.passes.fuse import FusePass
from pjc.passes.legalize_bipartite import LegalizeBipartitePass
from pjc.passes.net_to_feas import NetToFeasPass
from pjc.passes.unroll import UnrollPass


@dataclass(frozen=True)
class UnrollIrregularPass(ModulePass):
    """Unroll all loops of a network if one of them is no family of constraints.

    A solver between two parts projects all iterations of a loop at once, which it can unless they read a
    value in ways that overlap in part, or that cannot be followed through a view. That shows when the problem
    is stated and split, which is tried here on a copy. A network that is unrolled says so (``unrolled``), and
    is not rolled up again.

    ```
    %h = net.for "t" 2 carries (%h0) : ... {
    ^body(%a : tensor<2x3xf32>):
      %now = net.at %e axis 1 first 0 step 1 : ...    // reads %e in every iteration, one of which
      // and view.slice of %e above the loop          // is read by all of them
      net.yield (%b) collect () : ...
    }
    ```
    becomes what ``net-unroll`` makes of it.
    """

    name = "net-unroll-irregular"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        if any(isinstance(each, ForOp) for each in op.walk()) and not _all_families(ctx, op):
            UnrollPass().apply(ctx, op)
            CanonicalizePass().apply(ctx, op)


def _all_families(ctx: Context, module: ModuleOp) -> bool:
    """Return whether every loop of a network is a family of constraints."""
    trial = module.clone()
    tried = [NetToFeasPass(), FusePass(), LegalizeBipartitePass(), BipartitionPass()]
    try:
        for each in tried:
            each.apply(ctx, trial)
        for problem in problems(trial):
            check_families(problem)
    except FamilyError:
        return False
    except PassFailedException:
        return True  # the stage that states the problem will say what is wrong
    return True
