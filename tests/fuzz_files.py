"""Gives pjc mutants of every format that it reads, and counts what becomes of them.

``python tests/fuzz_files.py [FORMAT ...] [--count N] [-o FOLDER]``. What is done is kept in the folder, line
by line, so that a run that was stopped goes on; ``--show FORMAT NUMBER`` writes a mutant to the terminal's
standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CHUNK = 250
"""The mutants that one process takes: what leaks in it is gone with it."""


def finished(log: Path) -> dict[int, dict[str, Any]]:
    """Return what is known of the mutants in a log, by number; a line that was cut off counts for nothing."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines() if log.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if "outcome" in record:
            found[record["number"]] = record
    return found


def fuzz(name: str, count: int, folder: Path) -> dict[int, dict[str, Any]]:
    """Run the mutants 0 to ``count`` of a format that the log in ``folder`` does not have; return all."""
    log = folder / f"{name}.jsonl"
    while True:
        done = finished(log)
        left = [number for number in range(count) if number not in done]
        if not left:
            return {number: done[number] for number in range(count)}
        end = next((n for n in range(left[0], left[0] + CHUNK) if n in done or n >= count), left[0] + CHUNK)
        _run_worker(name, left[0], end, log)


def _run_worker(name: str, first: int, end: int, log: Path) -> None:
    """Let a process run mutants; where it dies, note which one it died of."""
    reading, writing = os.pipe()
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "JAX_PLATFORMS": "cpu",
        "MALLOC_ARENA_MAX": "2",
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
    }
    words = [sys.executable, "-m", "fuzz.worker", name, f"{first}:{end}", str(log.parent), str(writing)]
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            words, pass_fds=[writing], env=environment, stdout=subprocess.DEVNULL, stderr=errors
        )
        os.close(writing)
        begun: dict[str, Any] | None = None
        with os.fdopen(reading, encoding="utf-8") as answers, log.open("a", encoding="utf-8") as kept:
            for line in answers:
                record = json.loads(line)
                begun = None if "outcome" in record else record
                if begun is None:
                    kept.write(line)
                    kept.flush()
            code = process.wait()
            if code == 0:
                return
            errors.seek(0)
            said = errors.read().decode(errors="replace")[-2000:]
            if begun is None:
                raise RuntimeError(f"the worker of {name} ended with {code} outside of any mutant:\n{said}")
            why = "no answer in time" if code == -14 else f"the process ended with {code}"
            kept.write(json.dumps({**begun, "outcome": "failure", "said": f"{why}: {said}"}) + "\n")


def table(found: dict[str, dict[int, dict[str, Any]]]) -> str:
    """Return the counts as lines of a table."""
    lines = [
        "| format | mutants | results | sentences | failures | longest, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, records in found.items():
        counts = Counter(record["outcome"] for record in records.values())
        longest = max(record.get("seconds", 0.0) for record in records.values())
        of = [counts[each] for each in ("result", "sentence", "failure")]
        lines.append(f"| {name} | {len(records)} | {of[0]} | {of[1]} | {of[2]} | {longest:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the mutants and print the table and the failures; return 1 where there are any."""
    sys.path.insert(0, str(HERE))
    from fuzz.formats import FORMATS

    parser = argparse.ArgumentParser(prog="python tests/fuzz_files.py", description=__doc__)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--count", type=int, default=2000, help="mutants of each format (2000)")
    parser.add_argument("--workers", type=int, default=2, help="processes at once (2)")
    parser.add_argument("-o", dest="folder", type=Path, default=Path("runs/fuzz"), help="where the logs are")
    parser.add_argument("--show", nargs=2, metavar=("FORMAT", "NUMBER"), help="write one mutant to stdout")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.show:
        from fuzz.worker import mutant, seeds_of

        name, number = given.show
        sys.stdout.buffer.write(mutant(name, int(number), seeds_of(name, given.folder)))
        return 0
    unknown = [name for name in given.formats if name not in FORMATS]
    if unknown:
        parser.error(f"no format {unknown[0]!r}; there are {', '.join(FORMATS)}")
    names = given.formats or list(FORMATS)
    folder = given.folder.resolve()
    with ThreadPoolExecutor(given.workers) as pool:
        found = dict(zip(names, pool.map(lambda name: fuzz(name, given.count, folder), names), strict=True))
    for name, records in found.items():
        for number, record in records.items():
            if record["outcome"] == "failure":
                print(f"{name} {number}: {' '.join(record['said'].split())[-400:]}")
    print(table(found))
    return int(any(each["outcome"] == "failure" for records in found.values() for each in records.values()))


if __name__ == "__main__":
    sys.exit(main())
