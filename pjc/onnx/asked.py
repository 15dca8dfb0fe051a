"""What whoever compiles a model asks of it, beyond what it says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Asked:
    """``loss`` is what training requires of the output; ``trainable`` are patterns of names.

    Initializers of one number that match are parameters; others without axes are constants.
    """

    loss: str | None = None
    trainable: tuple[str, ...] = ()
