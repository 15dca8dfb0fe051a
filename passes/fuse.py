"""Fuse sums into the sums and rectifiers that read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.pattern_rewriter import (
    GreedyRewritePatternApplier,
    PatternRewriter,
    PatternRewriteWalker,
    RewritePattern,
    op_type_rewrite_pattern,
)

from pjc.dialects import feas, ops
from pjc.dialects.view import shape_of


@dataclass(frozen=True)
class FusePass(ModulePass):
    """Fuse sums into the sums and rectifiers that read them.

    A sum whose only reader is a sum or sum_relu over the same entries becomes terms of its reader: one
    constraint with an exact projection takes the place of two, and needs no copy of the value between.
    Weights are multiplied. So does a sum over axes whose only reader scales or rectifies it.

    ```
    %s = op.sum "s" %a, %b axes [] : ...
    %h = op.sum_relu "h" %s, %c axes [] : ...
    ```
    becomes
    ```
    %h = op.sum_relu "h" %a, %b, %c axes [] : ...
    ```
    """

    name = "feas-fuse"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        patterns: list[RewritePattern] = [FuseSumIntoSum(), FuseSumIntoRelu()]
        PatternRewriteWalker(GreedyRewritePatternApplier(patterns)).rewrite_module(op)


Weighted = list[tuple[float, SSAValue]]


def _fused(op: ops.WeightedOp) -> tuple[Weighted, float, Sequence[int]] | None:
    """Return the op's weighted terms with the sums that only it reads opened up, their offset, and the axes.

    None if there is no such sum.
    """
    inner = op.terms[0].owner
    if len(op.terms) == 1 and not len(op.axes) and isinstance(inner, ops.SumOp) and len(inner.axes):
        if inner.parent_block() is not op.parent_block() or feas.loop_of(inner) != feas.loop_of(op):
            return None
        if not op.terms[0].has_one_use():
            return None
        (weight,) = op.each_weight()
        terms = [(weight * each, x) for each, x in zip(inner.each_weight(), inner.terms, strict=True)]
        return terms, op.number() + weight * inner.number(), inner.axes.get_values()
    found = _fused_terms(op)
    return None if found is None else (*found, op.axes.get_values())


def _fused_terms(op: ops.WeightedOp) -> tuple[Weighted, float] | None:
    """Return the op's weighted terms with every sum that only it reads opened up, and their offset.

    None if there is no such sum.
    """
    terms: Weighted = []
    offset, opened = op.number(), False
    along = prod(shape_of(op.terms[0])[axis] for axis in op.axes.get_values())
    for weight, term in zip(op.each_weight(), op.terms, strict=True):
        inner = _opened(op, term)
        if inner is None:
            terms.append((weight, term))
            continue
        opened = True
        offset += weight * along * inner.number()
        terms += [(weight * each, x) for each, x in zip(inner.each_weight(), inner.terms, strict=True)]
    return (terms, offset) if opened else None


def _opened(op: ops.WeightedOp, term: SSAValue) -> ops.SumOp | None:
    """Return the plain elementwise sum that gives the term, if nobody else reads it, in the same loop."""
    inner, loop = term.owner, feas.loop_of(op)
    if isinstance(inner, ops.SumOp) and not len(inner.axes) and term.has_one_use():
        together = feas.loop_of(inner) == loop and inner.parent_block() is op.parent_block()
        return inner if together else None
    return None


def opened_by(op: Operation) -> ops.WeightedOp | None:
    """Return the sum or rectifier whose terms those of a sum become, where no loop is between; or None."""
    if not isinstance(op, ops.SumOp) or not op.result.has_one_use():
        return None
    reader = next(iter(op.result.uses)).operation
    if not isinstance(reader, ops.WeightedOp):
        return None
    scales = len(reader.terms) == 1 and not len(reader.axes)
    return reader if scales or not len(op.axes) else None


def _erase_opened(terms: list[SSAValue], rewriter: PatternRewriter) -> None:
    for term in terms:
        if isinstance(term.owner, ops.SumOp) and not list(term.uses):
            rewriter.erase(term.owner)


class FuseSumIntoSum(RewritePattern):
    """``sum(sum(a, b), c)`` is ``sum(a, b, c)``."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ops.SumOp, rewriter: PatternRewriter) -> None:
        _fuse(op, rewriter)


class FuseSumIntoRelu(RewritePattern):
    """``sum_relu(sum(a, b), c)`` is ``sum_relu(a, b, c)``."""

    @op_type_rewrite_pattern
    def match_and_rewrite(self, op: ops.SumReluOp, rewriter: PatternRewriter) -> None:
        _fuse(op, rewriter)


def _fuse(op: ops.SumOp | ops.SumReluOp, rewriter: PatternRewriter) -> None:
    fused = _fused(op)
    if fused is None:
        return
    terms, offset, axes = fused
    old = list(op.terms)
    weights = [weight for weight, _ in terms]
    new = type(op)([term for _, term in terms], axes, weights, offset, op.called)
    new.location = op.location
    feas.put_in_loop(new, feas.loop_of(op))
    new.result.name_hint = op.result.name_hint
    rewriter.replace(op, new)
    _erase_opened(old, rewriter)
