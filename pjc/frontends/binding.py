"""Binds the arguments of a call to the parameters of a function or a block."""

from __future__ import annotations

from collections.abc import Sequence

from pjc.codes import CALLS
from pjc.diagnostics import Span
from pjc.frontends.names import nearest
from pjc.frontends.report import Report
from pjc.frontends.values import Given, Slot


def bind(
    who: str, slots: Sequence[Slot], given: Sequence[Given], span: Span, report: Report
) -> dict[str, list[Given]] | None:
    """Return the arguments of each slot that has any; or None after noting all that is wrong."""
    found: dict[str, list[Given]] = {}
    places = [slot for slot in slots if not slot.named]
    rest = next((slot.name for slot in places if slot.rest), None)
    positional = [each for each in given if each.name is None]
    fine = True
    if rest is None and len(positional) > len(places):
        report.add(_too_many(who, places, len(positional)), span, None, CALLS)
        return None
    for index, each in enumerate(positional):
        found.setdefault(rest or places[index].name, []).append(each)
    for each in given:
        if each.name is None:
            continue
        keywords = [slot.name for slot in slots if not slot.rest]
        if each.name not in keywords:
            hint = nearest(each.name, keywords) or _listed(keywords)
            report.add(f"{who} has no argument '{each.name}'", each.span, hint, CALLS)
            fine = False
        elif each.name in found:
            report.add(f"{who} got the argument '{each.name}' twice", each.span, None, CALLS)
            fine = False
        else:
            found[each.name] = [each]
    missing = [slot for slot in slots if slot.required and slot.name not in found]
    if missing and fine:
        report.add(_too_few(who, slots, missing, len(given)), span, None, CALLS)
    return found if fine and not missing else None


def _listed(names: Sequence[str]) -> str | None:
    return f"it has {', '.join(names)}" if names else None


def _count(number: int, thing: str) -> str:
    word = {0: "no", 1: "one", 2: "two", 3: "three", 4: "four"}.get(number, str(number))
    return f"{word} {thing}" + ("" if number == 1 else "s")


def _too_many(who: str, slots: Sequence[Slot], got: int) -> str:
    if [slot.name for slot in slots] == ["x"]:
        return f"{who} takes one input, got {got}"
    names = ", ".join(slot.name for slot in slots)
    takes = _count(len(slots), "argument") + (f" ({names})" if names else "")
    return f"{who} takes {takes}, got {got}"


def _too_few(who: str, slots: Sequence[Slot], missing: Sequence[Slot], got: int) -> str:
    if missing[0].rest:
        return f"{who} takes at least one input, got none"
    if [slot.name for slot in slots] == ["x"] and not got:
        return f"{who} takes one input, got none"
    names = " and ".join(f"'{slot.name}'" for slot in missing)
    return f"{who} needs the argument{'s' if len(missing) > 1 else ''} {names}"
