"""All that a report shows, as JSON data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from pjc import __version__
from pjc.driver import STAGES
from pjc.notebook import held
from pjc.report.dumps import Dump, Place, dump
from pjc.report.graph import Graph, graph_of
from pjc.stage_names import STARTS

if TYPE_CHECKING:
    from pjc.driver import Compilation
    from pjc.passes.choose_representation import Explanation
    from pjc.runtime.curves import Curves


@dataclass(frozen=True)
class Picture:
    """What is drawn over one another of a history: its columns by name."""

    title: str
    columns: Sequence[str]


def record(
    compilation: Compilation,
    curves: Curves | None = None,
    pictures: Sequence[Picture] = (),
    trace: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the report of a compilation shows, with the curves of a run if there are any.

    The ``trace`` is as :func:`pjc.report.traced.traced` returns it.

    Raises:
        DiagnosticError: for a mistake in the source.
    """
    names = STARTS[STARTS.index(compilation.source.stage) :]
    dumps = {name: dump(compilation.at(name)) for name in names}
    texts = compilation.source.texts(compilation.options)
    explained = compilation.explain()
    summary = compilation.summary()
    return {
        "pjc": __version__,
        "name": compilation.source.name,
        "file": PurePath(compilation.source.file).name,
        "facts": _facts(compilation, summary.parameters, summary.copies_bytes),
        "texts": [{"file": _short(file), "text": text} for file, text in texts.items()],
        **_linked(dumps, list(texts)),
        **_drawn(compilation, list(texts), explained),
        "explained": [_explained(each) for each in explained],
        "constraints": [[kind, part, count] for (kind, part), count in summary.constraints.items()],
        "history": None if curves is None else _history(curves, pictures),
        "trace": trace,
    }


def _short(file: str) -> str:
    """Return what a report calls a file: without the folders of whoever wrote it."""
    return file if file.startswith("pjc/library/") else PurePath(file).name


def _facts(compilation: Compilation, parameters: int, state: int) -> list[tuple[str, str]]:
    solver = {} if "solver" in compilation.source.unused() else {"solver": str(compilation.options.method)}
    facts = {**solver, "numbers": compilation.dtype, "parameters": f"{parameters:,}"}
    return list({**facts, "state of the solver": f"{state:,} bytes"}.items())


def _linked(dumps: Mapping[str, Dump], files: list[str]) -> dict[str, Any]:
    """Return the stages, whose lines name places and nodes by number; -1 where there is none.

    A line whose operation has no place has that of its node.
    """
    places: dict[Place, int] = {}
    labels: dict[str, int] = {}
    home: dict[str, Place] = {}
    for each in dumps.values():
        for line in each.lines:
            if line.label is not None:
                labels.setdefault(line.label, len(labels))
                if line.place is not None:
                    home.setdefault(line.label, line.place)
    stages = []
    for stage in STAGES:
        if stage.name not in dumps:
            continue
        lines = []
        for line in dumps[stage.name].lines:
            place = line.place or home.get(line.label or "")
            known = place is not None and place[0] in files
            at = places.setdefault(place, len(places)) if place is not None and known else -1
            label = -1 if line.label is None else labels[line.label]
            if (at, label) != (-1, -1):
                lines.append((line.number, at, label))
        stages.append(
            {"name": stage.name, "leaves": stage.leaves, "text": dumps[stage.name].text, "lines": lines}
        )
    return {
        "stages": stages,
        "labels": list(labels),
        "places": [(files.index(file), number) for file, number in places],
    }


def _drawn(compilation: Compilation, files: list[str], explained: Sequence[Explanation]) -> dict[str, Any]:
    """Return the graph, with what the solver holds of each node; none for a source behind the problem."""
    if compilation.source.stage == "proj":
        return {"nodes": [], "edges": [], "loops": []}
    network = compilation.at("net") if compilation.source.stage == "net" else None
    graph: Graph = graph_of(compilation.at("feas"), network)
    sizes, forms = held(compilation.at("proj"))
    chosen = {each.label: each.choice for each in explained}
    nodes = []
    for node in graph.nodes:
        choice = chosen.get(node.label)
        place = node.place if node.place is not None and node.place[0] in files else None
        nodes.append(
            {
                **asdict(node),
                "place": None if place is None else (files.index(place[0]), place[1]),
                "bytes": sizes[node.label],
                "form": forms.get(node.label, "") if choice is None else choice.form,
                "reason": "" if choice is None else choice.reason,
            }
        )
    edges = [(each.source, each.reader, list(each.views)) for each in graph.edges]
    return {"nodes": nodes, "edges": edges, "loops": [asdict(each) for each in graph.loops]}


def _explained(each: Explanation) -> dict[str, Any]:
    return {
        "dot": each.label,
        "part": each.part,
        "size": each.size,
        "form": each.choice.form,
        "bytes": each.cost.bytes,
        "exact bytes": each.exact.bytes,
        "operations": each.cost.operations,
        "exact operations": each.exact.operations,
        "reason": each.choice.reason,
    }


def _history(curves: Curves, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the columns of a history; what is no finite number is null."""
    return {
        "file": curves.path.name,
        "columns": {
            name: [value if math.isfinite(value) else None for value in values]
            for name, values in curves.columns.items()
        },
        "pictures": [{"title": each.title, "columns": list(each.columns)} for each in pictures],
    }
