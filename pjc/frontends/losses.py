"""The losses of the language: a name, what its arguments are, and the method of a Site that requires it."""

from __future__ import annotations

from pjc.builder.losses import as_target
from pjc.builder.network import Site
from pjc.builder.values import Target
from pjc.frontends.builtins import function
from pjc.frontends.convert import number, positive, tensor
from pjc.frontends.values import Function, Given, Mistake, describe


def _class_target(given: Given) -> Target:
    """A class target."""
    value = given.value
    if not isinstance(value, Target):
        raise Mistake(f"expected a target, found {describe(value)}", "losses take (logits, target)",
                      given.span)  # fmt: skip
    if value.classes is None:
        hint = f"declare it as 'target {value.name}: class[...]'"
        raise Mistake(f"expected a class target, found {value}", hint, given.span)
    return value


def _number_target(given: Given) -> Target:
    """A target of numbers; an input can be one too."""
    value = as_target(given.value)
    if value is None:
        raise Mistake(f"expected a target, found {describe(given.value)}", "losses take (value, target)",
                      given.span)  # fmt: skip
    if value.classes is not None:
        hint = f"declare it as 'target {value.name}: f32[...]'"
        raise Mistake(f"expected a target of numbers, found {value}", hint, given.span)
    return value


_ALL = (
    function(
        *("cross_entropy", Site.require_cross_entropy),
        logits=tensor,
        target=_class_target,
        strength=positive,
    ),
    function("margin", Site.require_margin, logits=tensor, target=_class_target, low=number, high=number),
    function("class_margin", Site.require_class_margin, logits=tensor, target=_class_target, margin=positive),
    function("hinge", Site.require_hinge, logits=tensor, target=_class_target, strength=positive),
    function(
        *("multi_label", Site.require_multi_label),
        logits=tensor,
        target=_number_target,
        low=number,
        high=number,
    ),
    function(
        *("squared_error", Site.require_squared_error),
        value=tensor,
        target=_number_target,
        strength=positive,
    ),
    function("equal", Site.require_equal, value=tensor, target=_number_target),
)

LOSSES: dict[str, Function] = {each.name: each for each in _ALL}
