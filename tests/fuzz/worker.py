"""Gives pjc the mutants of one format, one after another, under limits of time and memory.

Each mutant is a line of the answer before it begins, and one when it is done, so that whoever reads them
knows which one a worker died of.
"""

from __future__ import annotations

import json
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import TextIO

SECONDS = 10
BYTES = 2 * 2**30
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters that no sentence may hold."""
OUT_OF_MEMORY = re.compile(r"out of memory|more memory than there is")


def mutant(name: str, number: int, seeds: list[bytes]) -> bytes:
    """Return a mutant of a format; the same number makes the same one."""
    from fuzz.formats import FORMATS

    rng = random.Random(f"{name} {number}")
    return FORMATS[name].mutate(rng.choice(seeds), rng)


def judge(code: int, said: str) -> tuple[str, str]:
    """Return "result", "sentence" or "failure", and what was said."""
    if "internal error" in said or "Traceback" in said:
        return "failure", said
    if OUT_OF_MEMORY.search(said):
        return "failure", f"it took more than its {BYTES} bytes: {said}"
    if RAW.search(said):
        return "failure", f"control characters are printed raw: {said!r}"
    if code == 0:
        return "result", ""
    return ("sentence", said) if said.strip() else ("failure", f"exit status {code} with no word")


def run(name: str, numbers: range, kept: Path, answers: TextIO) -> None:
    """Run the mutants of these numbers, and write a line of JSON before and after each.

    ``kept`` is the folder that keeps the good files.
    """
    from fuzz.formats import FORMATS

    of = FORMATS[name]
    seeds = seeds_of(name, kept)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"mutant{of.suffix}")
        path.write_bytes(seeds[0])
        code, said = of.use(path)
        if code:
            raise AssertionError(f"a good file of {name} is refused: {said}")
        for number in numbers:
            _write(answers, {"format": name, "number": number})
            path.write_bytes(mutant(name, number, seeds))
            started = time.monotonic()
            signal.alarm(SECONDS)  # ends the process, also while it is in native code
            _limit_memory()
            try:
                outcome, text = judge(*of.use(path))
            except BaseException:
                outcome, text = "failure", traceback.format_exc()
            signal.alarm(0)
            took = time.monotonic() - started
            _write(
                answers,
                {"format": name, "number": number, "outcome": outcome, "said": text[-2000:], "seconds": took},
            )


def seeds_of(name: str, folder: Path) -> list[bytes]:
    """Return the good files of a format, made once for all workers: some hold the time."""
    from fuzz.formats import FORMATS

    kept = folder / "seeds" / name
    if not kept.exists():
        made = kept.with_name(f"{name}.new")
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        for number, data in enumerate(FORMATS[name].seeds()):
            (made / f"{number:03d}").write_bytes(data)
        made.rename(kept)
    return [path.read_bytes() for path in sorted(kept.iterdir())]


def _limit_memory() -> None:
    """Allow so much more memory than is mapped now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + BYTES, hard))


def _write(answers: TextIO, record: dict[str, object]) -> None:
    answers.write(json.dumps(record) + "\n")
    answers.flush()


if __name__ == "__main__":
    # What pjc prints must not mix with the answers, so these have a stream of their own.
    numbers = sys.argv[2].partition(":")
    with open(int(sys.argv[4]), "w", encoding="utf-8") as stream:
        run(sys.argv[1], range(int(numbers[0]), int(numbers[2])), Path(sys.argv[3]), stream)
