"""Names and what they mean: one scope for the file, one for each call of a block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xdsl.ir import Block as IrBlock

from pjc.builder.values import Target
from pjc.diagnostics import Span
from pjc.dialects.ops import INITIALIZERS
from pjc.frontends import ast
from pjc.frontends.builtins import FUNCTIONS
from pjc.frontends.libraries import STANDARD
from pjc.frontends.losses import LOSSES
from pjc.frontends.names import advice, lacks
from pjc.frontends.own import own_function, own_names
from pjc.frontends.values import (
    Block,
    Init,
    InitName,
    Instance,
    Library,
    LossName,
    Mistake,
    Padding,
    SharedParam,
    Value,
)

BUILTINS: dict[str, Value] = {
    **FUNCTIONS,
    **{name: InitName(name) if takes else Init(name) for name, takes in INITIALIZERS.items()},
    **{name: LossName(name) for name in LOSSES},
    **{name: Padding(name) for name in ("SAME", "VALID")},
}


@dataclass(eq=False)
class Scope:
    """The names of the file, or of one call of a block, whose parameters start with ``path``.

    ``visible`` are the constants and blocks that stand above the block. ``shared`` holds the
    parameters of the shared instance that the call belongs to, if there is one, which are declared in
    ``home``. ``loop`` is the body of the loop that is being read, ``depth`` the number of loops around the
    instance's call; of the loops further in, and of those in ``own``, each iteration has shared parameters of
    its own.
    """

    path: str = ""
    visible: Mapping[str, Value] = field(default_factory=dict)
    block: Block | None = None
    shared: dict[str, SharedParam] | None = None
    trace: str | None = None
    called: Span | None = None
    values: dict[str, Value] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    constants: set[str] = field(default_factory=set)
    calls: dict[str, int] = field(default_factory=dict)
    loop: IrBlock | None = None
    home: IrBlock | None = None
    depth: int = 0
    own: tuple[IrBlock, ...] = ()

    def label(self, name: str) -> str:
        """Return the dotted name of something that belongs to this scope."""
        return f"{self.path}.{name}" if self.path else name

    def next_call(self, block: str) -> str:
        """Return the dotted name of the next call of a block: ``mlp_0.dense_1``."""
        index = self.calls.get(block, 0)
        self.calls[block] = index + 1
        return self.label(f"{block}_{index}")

    def find(self, name: str) -> Value | None:
        """Return what the name means here, or None."""
        for table in (self.values, self.visible, BUILTINS):
            if name in table:
                return table[name]
        return own_function(name)

    def names(self) -> list[str]:
        """Return every name that means something here."""
        return [*self.values, *self.visible, *BUILTINS, *own_names()]

    def bind(self, name: ast.Name, value: Value) -> None:
        self.values[name.id] = value
        self.places[name.id] = name.span

    def for_blocks(self) -> dict[str, Value]:
        """Return what a block that is defined here can see."""
        return {
            name: value
            for name, value in self.values.items()
            if name in self.constants or isinstance(value, Block | Instance | Library)
        }

    def claim(self, name: ast.Name, *, declares: bool, block: bool = False) -> None:
        """Raise Mistake unless the name may be bound: by a declaration, or by an assignment."""
        key, span = name.id, name.span
        old = self.values.get(key, self.visible.get(key))
        place = self.places.get(key)
        above = f", declared in line {place.line}" if place else ""
        if key in BUILTINS and not (block and key in FUNCTIONS):
            kinds = {**dict.fromkeys(FUNCTIONS, "function"), **dict.fromkeys(LOSSES, "loss")}
            kind = kinds.get(key, "padding" if key in ("SAME", "VALID") else "initializer")
            raise Mistake(f"'{key}' is a builtin {kind}", "choose another name", span)
        if key in self.constants:
            raise Mistake(f"'{key}' is a constant{above}", "choose another name", span)
        if isinstance(old, Block | Instance):
            raise Mistake(f"'{key}' is a block{above}", "choose another name", span)
        if isinstance(old, Library):
            raise Mistake(f"'{key}' is a library{above}", "choose another name", span)
        if isinstance(old, Target):
            raise Mistake(f"'{key}' is a target{above}", "choose another name", span)
        if declares and key in self.values:
            raise Mistake(f"'{key}' is already declared in line {place.line if place else 0}",
                          "choose another name", span)  # fmt: skip


def unknown(name: str, scope: Scope, file: Scope, below: Iterable[ast.Node]) -> Mistake:
    """Return the complaint that a name means nothing here."""
    if scope.block is not None and scope.block.tree.name.id == name:
        return Mistake(f"'{name}' calls itself; blocks cannot be recursive")
    if scope is not file and name in file.values and name not in file.constants:
        if isinstance(file.values[name], Block | Instance | Library):
            place = file.places[name].line
            return Mistake(f"'{name}' is defined in line {place}, below its use", "move it up")
        owner = scope.block.tree.name.id if scope.block else "the block"
        hint = f"pass it to '{owner}' as an argument"
        return Mistake(f"'{name}' belongs to the file; a block sees only its arguments", hint)
    for node in below:
        if isinstance(node, ast.Def | ast.Const | ast.Use) and node.name.id == name:
            line = node.name.span.line
            return Mistake(f"'{name}' is defined in line {line}, below its use", "move it up")
    if (STANDARD / f"{name[:100]}.pjn").is_file():
        return Mistake(f"unknown name '{name}'", f"write 'use {name}' above, which opens this library")
    why = ", a function that has no projection" if lacks(name) else ""
    return Mistake(f"unknown name '{name}'{why}", advice(name, scope.names()))
