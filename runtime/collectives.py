"""What devices say to each other in an iteration, read from the compiled program.

The text of an HLO module names each collective with the type of what it gives; what it takes is looked up
where that is defined. The bytes of a collective are those of its operands on one device: what the device
hands to it. An asynchronous one counts where it starts.

>>> hlo = program.lowered("update").compile().as_text()                     # doctest: +SKIP
>>> sum(each.bytes for each in iteration_collectives(hlo))                  # doctest: +SKIP
24576
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

KINDS = (
    "all-reduce",
    "all-gather",
    "reduce-scatter",
    "all-to-all",
    "ragged-all-to-all",
    "collective-permute",
    "collective-broadcast",
)
SCOPE = "iterate"
"""The name that an iteration is given, or a tick of a stream, by which its loop is found."""

When = Literal["iteration", "step", "last"]
"""How often a collective runs: once in every iteration; in every step of a loop inside of one (a projection
that is itself iterative); only in the last iteration of an update, which measures the gap."""

_INSIDE: dict[str, When] = {"conditional": "last", "while": "step"}
_BITS = {"pred": 8, "bf16": 16, "token": 0, "opaque": 0}
_HEADER = re.compile(r"^(?P<entry>ENTRY )?%?(?P<name>[\w.\-]+) (\(.*\) -> .* )?\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)$")
_ARRAY = re.compile(r"(?P<type>[a-z]+\d*[a-z0-9]*)\[(?P<sizes>[\d,<=]*)\]")
_CALLED = re.compile(r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_SOURCE = re.compile(r'op_name="([^"]*)"')


@dataclass(frozen=True)
class Collective:
    """A collective of an iteration.

    Attributes:
        kind: one of ``KINDS``.
        bytes: of its operands on one device. Where devices have constraints of their own, only those of a
            constraint take part in its collectives.
        shapes: of what it gives, as HLO writes it.
        source: the parts and nodes that it serves.
        when: how often it runs.
    """

    kind: str
    bytes: int
    shapes: str
    source: str
    when: When


@dataclass(frozen=True)
class _Instruction:
    type: str
    opcode: str
    operands: tuple[str, ...]
    attributes: str

    def called(self) -> list[str]:
        found = _CALLED.findall(self.attributes)
        for listed in _BRANCHES.findall(self.attributes):
            found += [name.strip().lstrip("%") for name in listed.split(",")]
        return found


@dataclass
class _Module:
    computations: dict[str, dict[str, _Instruction]] = field(default_factory=dict)
    entry: str = ""


def iteration_collectives(hlo: str) -> list[Collective]:
    """Return the collectives of one iteration of an update or gap, in the order of the text.

    Those of a tick of a stream; of a sweep, which is not repeated, all that the text holds.
    """
    module = _parsed(hlo)
    return list(_collectives(module, _iteration(module, module.entry) or module.entry, "iteration"))


def _collectives(module: _Module, computation: str, when: When) -> Iterator[Collective]:
    for instruction in module.computations[computation].values():
        kind = instruction.opcode.removesuffix("-start")
        if kind in KINDS:
            taken = (module.computations[computation][name].type for name in instruction.operands)
            yield Collective(
                kind, sum(map(size, taken)), _shown(instruction.type), _source(instruction), when
            )
        if instruction.opcode in ("fusion", "reduce", "all-reduce", "reduce-scatter", "scatter", "sort"):
            continue  # what these call works on numbers
        for called in instruction.called():
            inner = _INSIDE.get(instruction.opcode, when)
            if instruction.opcode == "conditional" and f"/{SCOPE}/" in instruction.attributes:
                inner = when  # a device's own constraints
            yield from _collectives(module, called, inner if when == "iteration" else when)


def _iteration(module: _Module, computation: str) -> str | None:
    """Return the body of the outermost loop in which an iteration runs."""
    for instruction in module.computations[computation].values():
        for called in instruction.called():
            if instruction.opcode == "while" and called in instruction.attributes.split("body=")[-1]:
                if _mentions(module, called):
                    return called
            elif (found := _iteration(module, called)) is not None:
                return found
    return None


def _mentions(module: _Module, computation: str) -> bool:
    """Whether something of an iteration is computed in a computation, or in one that it calls."""
    for instruction in module.computations[computation].values():
        if f"/{SCOPE}/" in instruction.attributes:
            return True
        if any(_mentions(module, called) for called in instruction.called()):
            return True
    return False


def size(type_: str) -> int:
    """Return the bytes of a tensor or tuple on one device, given its type as HLO writes it."""
    total = 0
    for found in _ARRAY.finditer(type_):
        entries = 1
        for digits in re.findall(r"\d+", found["sizes"]):
            entries *= int(digits)
        total += -(-entries * _bits(found["type"]) // 8)
    return total


def _bits(kind: str) -> int:
    if kind in _BITS:
        return _BITS[kind]
    digits = re.match(r"[a-z]+(\d+)", kind)
    if digits is None:
        raise ValueError(f"the compiled program holds numbers of an unknown type '{kind}'")
    return int(digits[1])


def _shown(type_: str) -> str:
    return ", ".join(f"{found['type']}[{found['sizes']}]" for found in _ARRAY.finditer(type_))


def _source(instruction: _Instruction) -> str:
    """Return the parts and nodes that an instruction serves, by the operations that it came from."""
    found = _SOURCE.search(instruction.attributes)
    inside = "" if found is None else found[1].rpartition(f"/{SCOPE}/")[2] or found[1]
    return " ".join(re.sub(r"/(shard_map|while|body|closed_call|cond|jit\(\w+\))(?=/|$)", "", inside).split())


def _parsed(hlo: str) -> _Module:
    module = _Module()
    current: dict[str, _Instruction] = {}
    for line in hlo.splitlines():
        header = _HEADER.match(line)
        if header is not None and not line.startswith("HloModule"):
            current = module.computations.setdefault(header["name"], {})
            if header["entry"]:
                module.entry = header["name"]
        elif (found := _INSTRUCTION.match(line)) is not None:
            current[found["name"]] = _instruction(re.sub(r"/\*.*?\*/", "", found["rest"]))
    return module


def _instruction(rest: str) -> _Instruction:
    """Return the instruction ``TYPE OPCODE(OPERANDS), ATTRIBUTES``."""
    end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
    opcode, _, after = rest[end:].strip().partition("(")
    close = _closing(after, 0, depth=1)
    operands = re.findall(r"%([\w.\-]+)", after[:close])
    return _Instruction(rest[:end], opcode, tuple(operands), after[close + 1 :])


def _closing(text: str, start: int, depth: int = 0) -> int:
    """Return where the parenthesis closes that is open at, or opens at, ``start``."""
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError(f"a parenthesis is not closed in the compiled program: {text[:80]}")
