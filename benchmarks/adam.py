"""Trains a network with gradients instead: with the .pjn file, data, parts and batches of ``pjc train``.

    python benchmarks/adam.py examples/digits_mlp.pjn --data digits --batch 64 --epochs 16 --seeds 0,1,2

It takes the options of ``pjc train``, those of the outer step (``--outer``, ``--rate``, ``--schedule``, ..)
among them, which move the parameters by the gradient as they do by a displacement, with the same eps;
gradients.py says of what it is one. Options of solvers make no difference. For each seed it prints the
seconds of training so far and the score on the validation part after every epoch, at the end the score on the
test part.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence

from commands import asked, swept
from gradients import program_of
from runs import Curve, follow

from pjc.runtime.outer import outer_of


def main(arguments: Sequence[str] | None = None) -> list[Curve]:
    """Run the benchmark; return a curve for each seed."""
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    own.add_argument("--seeds", help="seeds of as many runs, as in 0,1,2 (default: that of --seed)")
    chosen, rest = own.parse_known_args(arguments)
    given = asked(swept(rest))
    run, outer = given.arguments.run, outer_of(given.options)
    seeds = [run.seed] if chosen.seeds is None else [int(each) for each in chosen.seeds.split(",")]
    program = program_of(given.compilation())
    parts = given.parts(program)
    rates = ", ".join(f"{pattern}{'=' * bool(pattern)}{rate:g}" for pattern, rate in outer.rate.items())
    print(
        f"{given.arguments.model}: gradients, {outer.name} at rate {rates}, {outer.schedule}, "
        f"batches of {program.batch}"
    )

    def tell(curve: Curve) -> None:
        done = len(curve.seconds)
        shown = "validation" if parts.validation is not None else "training"
        print(
            f"epoch {done}/{run.epochs}: {curve.seconds[-1]:.2f} s, "
            f"{shown} {curve.metric} {curve.validation[-1]:.4f}",
            flush=True,
        )

    curves = []
    for seed in seeds:
        curve = follow(program, parts, run.epochs, seed, tell)
        at = curve.best() if run.keeps_best else -1
        for text in curve.warnings:
            print(f"warning: {text}")
        if curve.test:
            print(f"test {curve.metric}: {curve.test[at]:.4f}, seed {seed}", flush=True)
        curves.append(curve)
    tested = [curve.test[curve.best() if run.keeps_best else -1] for curve in curves if curve.test]
    if len(tested) > 1:
        print(
            f"mean over {len(tested)} seeds: {statistics.mean(tested):.4f} +- {statistics.stdev(tested):.4f}"
        )
    return curves


if __name__ == "__main__":
    main()
