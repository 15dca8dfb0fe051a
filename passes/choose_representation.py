"""Choose how the copies of each dot product are represented."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass
from xdsl.utils.exceptions import PassFailedException

from pjc.dialects import feas, ops
from pjc.dialects.forms import FORMS, WITHOUT_WINDOWS
from pjc.dialects.view import element_bytes, shape_of
from pjc.passes.analysis.graph import problems, training_nodes
from pjc.passes.form_convolutions import convolution_of
from pjc.passes.lowering.holding import all_data
from pjc.passes.solvers import DEFAULT_ITERATING, parse

LOSS_FACTOR = 16
"""How many more bytes may be held of a short dot that a loss reads: its multipliers are the largest, and a
factored one of length 64 made Douglas-Rachford diverge on a recurrent cell."""

MEMORY_SHARE = 16
"""The part of a device's memory that the copies of one dot may take: an iteration has about four states."""

SHORT = 256
"""The length up to which a dot is short. Multipliers fall with the norms of the two vectors, and so with
their length; holding an output layer that reads 32 layers of 128 would take most of an iteration.
"""


@dataclass(frozen=True)
class ChooseRepresentationPass(ModulePass):
    """Choose how the copies of each dot product are represented: exact, held, shared or factored.

    Held exactly, the copies of a K x N by N x M dot are 2 K M N numbers, in every state of an iteration. In
    alternating and cyclic projections all copies of an input agree before they are projected, so that none
    need be made (shared). In Douglas-Rachford at relaxation 1/2, which is rrr with step 1, they can go from
    one iteration to the next in one step (held), and differ by nearly rank-one terms (factored, to second
    order): held is taken while the copies are few. Elsewhere, and where one node feeds both operands of a
    dot, they stay exact. A choice that is written in the IR stays.

    ```
    %z = op.dot "z" %x, %w part "B" : ...   ->   %z = op.dot "z" %x, %w part "B" copies "shared" : ...
    ```
    """

    name = "feas-choose-representation"

    solver: str = DEFAULT_ITERATING
    """The solver: its name, or NAME{number=value}."""
    copies: tuple[str, ...] = ("auto",)
    """auto, or the one form to use wherever it applies; and LABEL=FORM for single dots."""
    approximate: bool = True
    """Whether a form may drop terms of third order."""
    held_bytes: int = 2**23
    """Copies of at most so many bytes are held rather than factored; 16 times as many of a short dot that a
    loss reads, through no other product."""
    memory: int = 0
    """The bytes of a device's memory, of which the copies of a dot may take a sixteenth; 0 for no limit."""

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        nodes = {node.called: node for problem in problems(op) for node in trained_dots(problem)}
        self._check(set(nodes))
        for node in nodes.values():
            if node.copies is None:
                node.copies = StringAttr(self.choose(node).form)

    def choose(self, node: ops.DotOp) -> Choice:
        """Return the form for one dot, and why."""
        if node.copies is not None:
            return Choice(node.form, "the IR says so")
        forms, reason = self.allowed(node)
        own = dict(word.split("=", 1) for word in self.copies if "=" in word).get(node.called)
        asked = own or next((word for word in reversed(self.copies) if "=" not in word), "auto")
        if asked == "auto":
            return self.fitting(node, forms, reason)
        if asked in ("exact", *forms):
            return Choice(asked, "asked for")
        return Choice("exact", f"{asked} was asked for, but {reason}")

    def allowed(self, node: ops.DotOp) -> tuple[tuple[str, ...], str]:
        """Return the forms beside exact that the solver and the dot allow, and why no others."""
        found = parse(self.solver).copies()
        if not found.joint and set(feas.sources(node.lhs)) & set(feas.sources(node.rhs)):
            return (), "one node feeds both operands"
        return found.forms, found.reason

    def fitting(self, node: ops.DotOp, forms: tuple[str, ...], reason: str) -> Choice:
        """Return the form of those allowed that serves best."""
        if len(forms) < 2:
            return Choice(forms[0] if forms else "exact", reason)
        if not self.approximate:
            return Choice("held", "nothing is dropped")
        short = shape_of(node.lhs)[-1] <= SHORT
        asked_by_loss = short and reaches_loss(node)
        bytes_ = self.held_bytes * (LOSS_FACTOR if asked_by_loss else 1)
        limit = f"{bytes_ / 2**20:g} MiB" + (", and a loss reads it" if asked_by_loss else "")
        if 0 < self.memory < MEMORY_SHARE * bytes_:
            bytes_ = self.memory // MEMORY_SHARE
            limit = f"{bytes_ / 2**20:.3g} MiB, a sixteenth of the device's memory"
        if held(node, "held") <= bytes_:
            return Choice("held", f"its copies fit in {limit}")
        return Choice("factored", f"its copies do not fit in {limit}")

    def _check(self, labels: set[str]) -> None:
        """Raise PassFailedException if ``copies`` names what there is not."""
        for word in self.copies:
            label, equals, form = word.rpartition("=")
            if (form not in FORMS and word != "auto") or (equals and not label):
                raise PassFailedException(
                    f"copies are auto, {', '.join(FORMS)}, or LABEL=FORM; found '{word}'"
                )
            if label and label not in labels:
                raise PassFailedException(
                    f"copies '{word}': there is no dot '{label}'; there are {', '.join(sorted(labels))}"
                )


@dataclass(frozen=True)
class Choice:
    """A form and the reason for it."""

    form: str
    reason: str


@dataclass(frozen=True)
class Cost:
    """What a dot costs in a form: bytes held between iterations, floating-point operations in each."""

    bytes: int
    operations: int


@dataclass(frozen=True)
class Explanation:
    """A dot's size, the choice for it, and what it costs in that form and exactly."""

    label: str
    part: str
    size: str
    choice: Choice
    cost: Cost = field(repr=False)
    exact: Cost = field(repr=False)


def reaches_loss(node: ops.NodeOp) -> bool:
    """Whether a loss reads the node's value, or what nodes other than products make of it: a bias, say."""
    seen: set[ops.NodeOp] = set()
    waiting = [node]
    while waiting:
        for reader, _, _ in feas.readers(waiting.pop()):
            if isinstance(reader, ops.LossOp):
                return True
            if reader not in seen and not isinstance(reader, ops.BilinearOp | ops.ProductOp):
                seen.add(reader)
                waiting.append(reader)
    return False


def trained_dots(problem: feas.ProblemOp) -> list[ops.DotOp]:
    """Return the problem's dots that a requirement reaches."""
    return [node for node in training_nodes(problem) if isinstance(node, ops.DotOp)]


def explain(problem: feas.ProblemOp, chooser: ChooseRepresentationPass) -> list[Explanation]:
    """Return what the pass chooses for each dot of a problem, and what that costs."""
    found = []
    for node in trained_dots(problem):
        *batch, k, m, n = node.copies_shape()
        choice = chooser.choose(node)
        shape = " x ".join(map(str, [*batch, f"{k}x{n} @ {n}x{m}"]))
        part = "" if node.part is None else node.part.data
        found.append(
            Explanation(node.called, part, shape, choice, cost(node, choice.form), cost(node, "exact"))
        )
    return found


SITE_OPERATIONS = 90
"""The operations of a multiplier, for each (k, m): four Newton or Halley steps and what is around them."""
COPY_OPERATIONS = {"exact": 40, "held": 16}
"""The operations for each number of the copies of one operand pair, counted from the kernels."""


def cost(node: ops.DotOp, form: str) -> Cost:
    """Return what the dot costs in a form, by a count of its kernel's operations."""
    sites, inner = prod(shape_of(node.result)), shape_of(node.lhs)[-1]
    if form in COPY_OPERATIONS:
        work = sites * (SITE_OPERATIONS + COPY_OPERATIONS[form] * inner)
    else:
        products = 3 - sum(all_data(operand) for operand in node.operands)
        work = sites * (SITE_OPERATIONS + 2 * inner * products)
    return Cost(held(node, form), work)


def held(node: ops.DotOp, form: str) -> int:
    """Return how many bytes the form holds between iterations for a dot."""
    lhs, rhs, result = (prod(shape_of(value)) for value in (node.lhs, node.rhs, node.result))
    if form in WITHOUT_WINDOWS and (windows := convolution_of(node)):
        lhs = prod(shape_of(windows.image))
    means = sum(size for size, value in ((lhs, node.lhs), (rhs, node.rhs)) if not all_data(value))
    copies = 2 * prod(node.copies_shape())
    numbers = {
        "exact": copies,
        "held": copies + 2 * means,
        "shared": means,
        "factored": 3 * means + 3 * result,
    }
    return numbers[form] * element_bytes(node.result.type)
