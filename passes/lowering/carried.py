"""What a recurrence carries from step to step in a sweep, backwards: what is asked of its states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from xdsl.ir import SSAValue

from pjc.dialects import view
from pjc.passes.lowering.behind import Behind, Read
from pjc.passes.lowering.body import Body
from pjc.passes.lowering.frame import Asked, Asker, alike


@dataclass
class Carried:
    """What the steps of a recurrence ask of the state that a shift gives them, handed on to the step before.

    It is bounded as of what that step makes the state of. In the end it comes to what the loop starts from:
    if that is bounded otherwise, or not at all, it is handed on unbounded as well.
    """

    body: Body
    shift: view.ShiftOp
    reads: list[Read]
    """Where what the state is made of is read."""
    first: int
    """The place of what is asked there, among all that the body carries."""
    starting: list[tuple[int, Asker | None, int]] = field(default_factory=list)
    """What is asked of the start alone: its place, who asks, and the place of what that was asked."""

    @classmethod
    def of(cls, body: Body, shift: view.ShiftOp) -> Carried:
        """Return what is carried for a shift; each step is asked what the later one handed on."""
        reads = cls.behind(body).reads(shift, 1)
        made = cls(body, shift, reads, len(body.inits))
        for op, index in reads:
            body.put(op, index, Asked(body.carry(body.slice_type(op.operands[index]))))
        return made

    @staticmethod
    def behind(body: Body) -> Behind:
        """Return how to look at what a step makes a state of."""
        return Behind(body.reach, lambda op, index: op.operands[index] in body.own)

    def hand_on(self) -> None:
        """Write what a step hands on."""
        body, shift = self.body, self.shift
        found = [body.together(each) for each in alike(body.asked.pop(shift.result, []))]
        if found and not self.starts_alike:
            self._hand_to_start(found)
        parts: dict[Read, list[SSAValue]] = {}
        for asked in found:
            for read, tensor in self.behind(body).undone((shift, 1), asked.tensor, body.undone):
                bounded = body.bounded(replace(asked, tensor=tensor), read[0].operands[read[1]])
                parts.setdefault(read, []).append(bounded.tensor)
        for place, read in enumerate(self.reads, self.first):
            if read in parts:
                body.nexts[place] = body.sum_of(parts[read])

    @property
    def starts_alike(self) -> bool:
        """Whether what is asked of the start is bounded as what is asked of a state is."""
        start = self.shift.first
        if start not in self.body.reach.moved:
            return True
        behind = Behind(self.body.reach, lambda op, index: op.operands[index] not in self.body.own)
        own = [(self.shift, 0)], [(self.shift, 1)]
        return start in self.body.reach.own and own == (behind.reads(self.shift, 0), self.reads)

    def _hand_to_start(self, found: list[Asked]) -> None:
        body = self.body
        if self.shift.first not in body.reach.own:
            found = [Asked(body.sum_of([each.tensor for each in found]))]
        for asked in found:
            place = self._kept(asked.tensor)
            asker = asked.asker
            self.starting.append((place, asker, place if asker is None else self._kept(asker.demand)))

    def _kept(self, tensor: SSAValue) -> int:
        body = self.body
        body.carry(tensor.type)
        body.nexts[-1] = tensor
        return len(body.nexts) - 1

    def put_first(self, left: Sequence[SSAValue]) -> None:
        """Take what is asked of the start, from what the loop left of all that it carried."""
        outer, start = self.body.outer, self.shift.first
        for place, asker, demand in self.starting:
            if asker is not None:
                asker = replace(asker, demand=left[demand])
            found = Asked(left[place], asker)
            if start in self.body.reach.own:
                outer.take(start, found)
            else:
                outer.put(self.shift, 0, found)
        if self.starts_alike and start in self.body.reach.moved:
            outer.put(self.shift, 0, Asked(left[self.first]))
