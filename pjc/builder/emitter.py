"""Puts operations into a network, each with its label and, where there is a file, its place in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from xdsl.dialects.builtin import FileLineColLoc, IntAttr, ModuleOp, StringAttr, f32, i32
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.utils.exceptions import VerifyException

from pjc.builder.unread import drop_unread
from pjc.codes import NUMBERS
from pjc.diagnostics import Diagnostic, DiagnosticError, Span, code_of, of_kind
from pjc.dialects import net, ops, view
from pjc.dialects.loops import AtOp
from pjc.dialects.narrow import wrong_number
from pjc.dialects.shapes import ShapeError
from pjc.dialects.view import element_of

MAX_OPS = 10_000
"""Networks of more operations than this are refused: blocks that call blocks grow exponentially."""


class TooManyOperations(DiagnosticError):
    """Raised where a network has more than MAX_OPS operations, with the place of the first too many."""


class Emitter:
    """The block that operations go to, the network's or that of a loop, and what was declared so far.

    ``top`` is where what stands above all loops goes: the network's block. ``loops`` holds the bodies of the
    loops that are being built, the outermost first, and how often each repeats. ``dims`` are the named sizes
    of inputs and targets, ``declared`` the kinds and names of what is known by its name.
    ``batch`` is the size of first axes that are called so where no names are given.
    If ``strict`` each op is verified when it is added; a frontend leaves that to the compiler.
    """

    def __init__(self, element: Attribute = f32, batch: int | None = None, strict: bool = False) -> None:
        self.network = self.block = self.top = Block()
        self.region = Region([self.network])
        self.element = element
        self.batch = batch
        self.strict = strict
        self.loops: dict[Block, int] = {}
        self.dims: dict[str, int] = {}
        self.declared: set[tuple[str, str]] = set()
        self.count = 0

    def add(
        self, op: Operation, label: str, span: Span | None = None, block: Block | None = None
    ) -> SSAValue | None:
        """Append an op, to another block if one is given; return its result, if it has one.

        Raises ShapeError where the op is not valid by its own rules, TooManyOperations where the network
        is too large.
        """
        _check_indices(op)
        if wrong := wrong_number(op, self.element == f32):
            raise of_kind(NUMBERS, ShapeError(wrong))
        if self.count == MAX_OPS:
            message = f"the network has more than {MAX_OPS:,} operations"
            hint = "do blocks call blocks many times over?"
            raise TooManyOperations([Diagnostic(message, span, hint)])
        if span is not None:
            op.location = FileLineColLoc(StringAttr(span.file), IntAttr(span.line), IntAttr(span.column))
        if isinstance(op, ops.NodeOp) and op.label is None:
            op.label = StringAttr(label)
        (block or self.block).add_op(op)
        if self.strict:
            _verify(op)
        self.count += 1
        if not op.results:
            return None
        set_hint(op.results[0], label)
        return op.results[0]

    def declare(self, kind: str, name: str) -> None:
        """Note that there is, say, a parameter of this name; raise ShapeError if there is one already."""
        if (kind, name) in self.declared:
            raise ShapeError(f"there is already {kind} called '{name}'", "choose another name")
        self.declared.add((kind, name))

    def module(self, name: str) -> ModuleOp:
        """Return a module with the network as it is now; loops collect what is read."""
        region = self.region.clone()
        drop_unread(region.block)
        return ModuleOp([net.NetworkOp(name, self.dims, region)])

    # Blocks

    @contextmanager
    def repeating(self, body: Block, count: int) -> Iterator[None]:
        """Let operations go to the body of a loop."""
        above, self.block = self.block, body
        self.loops[body] = count
        try:
            yield
        finally:
            self.block = above
            del self.loops[body]

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let operations go nowhere, and forget what is declared there."""
        kept, above, declared = self.block, self.top, self.declared
        self.block = self.top = Block()
        self.declared = set()
        try:
            yield
        finally:
            self.block, self.top, self.declared = kept, above, declared

    def made_in(self, value: SSAValue, body: Block) -> bool:
        """Whether a value is made in the body of a loop that is being built, or carried by that loop."""
        owner = value.owner
        block = owner if isinstance(owner, Block) else owner.parent_block()
        bodies = list(self.loops)
        return block in bodies[bodies.index(body) :]

    def around(self, body: Block) -> Block:
        """Return the block that a loop stands in."""
        at = list(self.loops).index(body)
        return list(self.loops)[at - 1] if at else self.network


def _verify(op: Operation) -> None:
    """Raise ShapeError unless the op is valid by its own rules; it is taken out of its block then."""
    if isinstance(op, AtOp):  # whose loop is not there yet
        return
    try:
        op.verify_()
    except VerifyException as error:
        op.detach()
        op.erase()
        raise of_kind(code_of(error), ShapeError(str(error))) from None


def _check_indices(op: Operation) -> None:
    """Raise ShapeError if the op takes indices for numbers, or numbers for indices."""
    moves = ops.IndexOp | view.ViewOp | AtOp
    made = [value for value in op.operands if isinstance(value.owner, moves)]
    indices = [value for value in made if element_of(value) == i32]
    if isinstance(op, view.GatherOp):
        if op.indices not in indices:
            raise ShapeError(
                "the indices of a gather must be int", "declare them as 'input tokens: int[...]'"
            )
        if op.table in indices:
            raise ShapeError("a gather takes rows of a table of numbers, and these are indices")
    elif isinstance(op, view.PadOp) and indices:
        raise ShapeError("indices cannot be padded", "pad the rows that they name")
    elif isinstance(op, view.ConcatOp) and 0 < len(indices) < len(op.operands):
        raise ShapeError("indices and numbers cannot be joined in one tensor")
    elif indices and not isinstance(op, moves):
        raise ShapeError(
            "indices are no numbers to compute with", "embedding(table, indices) gives rows of a table"
        )


def set_hint(value: SSAValue, label: str) -> None:
    """Name a value in the dumps."""
    if re.fullmatch(r"[A-Za-z_$.-][\w$.-]*", label):
        value.name_hint = label
