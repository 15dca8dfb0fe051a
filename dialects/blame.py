"""Which operation it is that breaks a rule of the network, problem or program in which it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xdsl.ir import Operation
from xdsl.utils.exceptions import VerifyException


class BrokenRule(VerifyException):
    """A rule that an operation breaks, by what stands beside it."""

    def __init__(self, message: str, op: Operation) -> None:
        super().__init__(message)
        self.op = op


@contextmanager
def blaming(op: Operation) -> Iterator[None]:
    """Within it a rule that is broken is broken by an operation, unless another is blamed already."""
    try:
        yield
    except BrokenRule:
        raise
    except VerifyException as error:
        raise BrokenRule(str(error), op) from error


def blamed(op: Operation) -> Operation | None:
    """Return the operation that breaks a rule first, of one and all within it; None where none does."""
    for each in op.walk():
        try:
            each.verify(verify_nested_ops=False)
        except VerifyException as error:
            found: BaseException | None = error
            while found is not None and not isinstance(found, BrokenRule):
                found = found.__cause__
            return each if found is None else found.op
    return None
