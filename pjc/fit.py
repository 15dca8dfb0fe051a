"""What training leads to: parameters, their history, and how to use them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from pjc.diagnostics import PjcError, mistake
from pjc.history import History
from pjc.runtime.data.recipe import Known
from pjc.runtime.evaluate import metric
from pjc.runtime.files import require_writable
from pjc.runtime.history import Checkpoint, Result, write_checkpoint, write_history
from pjc.runtime.predicting import Predictions, predict
from pjc.runtime.program import Program
from pjc.runtime.scores import Scores, scores
from pjc.runtime.stepper import stepper_for
from pjc.runtime.trace import Trace
from pjc.runtime.trainable import specs
from pjc.tracing.program import TracedProgram
from pjc.training_data import samples_of


@dataclass(frozen=True, repr=False)
class Fit:
    """A network with the parameters that :func:`pjc.train` found.

    It can be pickled, and :meth:`save` writes the files that ``pjc train`` writes.

    Attributes:
        program: the program that was trained, in the units of its targets.
        result: where training stands: parameters by the names of the text, rows of the history, and what
            training goes on from.
        best: where it stood after the epoch whose parameters are handed back, scored and written; None where
            those of ``result`` are.
        epochs: how many epochs were asked for.
        stopped: why the run ended before them; None if it did not.
        score: that on the test part; None if there was none.
        settings: what the run was asked for, by name, as files keep it.
        notes: what the parameters rely on, as files keep it: how samples were normalized, names of classes.
        trace: what was recorded of every constraint; None if nothing was.
    """

    program: Program | TracedProgram
    result: Result
    epochs: int
    stopped: str | None = None
    score: float | None = None
    settings: Mapping[str, str | int | float] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    trace: Trace | None = None
    best: Result | None = None

    @property
    def kept(self) -> Result:
        """Where training stood with the parameters that are handed back."""
        return self.result if self.best is None else self.best

    @property
    def compiled(self) -> Program:
        """The program with its parameters by name, also of a traced function."""
        return self.program.program if isinstance(self.program, TracedProgram) else self.program

    @property
    def params(self) -> Any:
        """The parameters, in all sets required of them: by name, or of a traced function as its tree."""
        return tree_of(self.program)(self.kept.params)

    @property
    def history(self) -> History:
        """The table of the run, a row an epoch."""
        return History(self.result.history, metric(self.compiled), self.measure)

    @property
    def measure(self) -> str:
        """What the history tells of batches: "demand", or "gap" of solvers that iterate."""
        return str(stepper_for(self.compiled).measure)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes are called, in the order of their numbers; empty where they are numbers."""
        return tuple(json.loads(self.notes.get("class_names", "[]")))

    def __repr__(self) -> str:
        name, done = self.program.name, self.result.epoch
        score = "" if self.score is None else f", test {metric(self.compiled)} {self.score:.4g}"
        why = "" if self.stopped is None else f", stopped: {self.stopped}"
        return f"<pjc.Fit of {name!r}, {done} of {self.epochs} epochs{score}{why}>"

    def evaluate(self, data: Any) -> float:
        """Return the accuracy of the network on data, or the root mean square error for targets of numbers.

        Args:
            data: as :func:`pjc.train` takes it: (x, y), batches, or the name of a source.

        Raises:
            DataError, TrainError: if it does not fit the network.
        """
        return float(self.scores(data).value)

    def scores(self, data: Any, confusion: bool = False) -> Scores:
        """Return how good the network is on data, also class by class, label by label or column by column.

        Args:
            data: as for :meth:`evaluate`.
            confusion: whether to count every pair of classes.
        """
        known = Known.of(self.notes, "the notes of the fit")
        source, target = specs(self.compiled)
        ready = known.finished(samples_of(data, "the data", source, target, known))
        return scores(self.compiled, self.kept.params, ready, self.class_names, confusion)

    def predict(self, x: Any) -> NDArray[Any]:
        """Return what the network says of samples.

        For each it is the class, by its name where classes have names; 0 or 1 for each of several labels; or
        numbers, in the units of the data.

        Args:
            x: samples of the shape that training took, as many as there are.

        Raises:
            DataError: if they do not fit the network.
        """
        return self._predicted(x).named(self.class_names)

    def outputs(self, x: Any) -> NDArray[Any]:
        """Return what the network gives for samples: logits of classes, or numbers. As :meth:`predict`."""
        found = self._predicted(x, scores=True).scores
        assert found is not None
        return found

    def _predicted(self, x: Any, scores: bool = False) -> Predictions:
        known = Known.of(self.notes, "the notes of the fit")
        source, _ = specs(self.compiled)
        ready = known.finished(samples_of((x, None), "the data", source, source, known))
        return predict(self.compiled, self.kept.params, ready, scores)

    def save(self, path: str | Path) -> None:
        """Write what ``pjc train -o PATH`` writes: the parameters, the history, and the compiled program.

        They are PATH.params.safetensors, PATH.history.csv and PATH.pjx. A path that ends with .safetensors is
        that of the parameters alone.

        Raises:
            WriteError: if a file cannot be written.
            ProgramError: if a file cannot hold the program.
        """
        if not isinstance(path, str | Path):
            raise mistake(f"save takes a path, found {type(path).__name__}")
        if str(path).endswith(".safetensors"):
            self.save_parameters(Path(path))
            return
        params, history, program = (
            Path(f"{path}{end}") for end in (".params.safetensors", ".history.csv", ".pjx")
        )
        for each in (params, history, program):
            require_writable(each)
        self.save_parameters(params)
        write_history(history, self.result.history, metric(self.compiled), self.measure)
        self.compiled.save(program)

    def save_parameters(self, path: Path) -> None:
        """Write the parameters to a file, with what belongs to them."""
        write_parameters(self.compiled, self.settings, self.notes)(self.kept, path)

    def to_onnx(self, path: str | Path, opset: int | None = None) -> tuple[str, ...]:
        """Write the network with its parameters as an ONNX model; as :meth:`pjc.Program.to_onnx`.

        Raises:
            PjcError: if samples were normalized, which the model would not do.
        """
        if "normalize" in self.notes:
            raise PjcError(
                "the samples were normalized, and the model would take them as they are after that; export "
                "with fit.program.to_onnx(fit.params, path), and normalize what the model is given"
            )
        return self.program.to_onnx(self.params, path, opset)


def tree_of(program: Program | TracedProgram) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes the caller's parameters of those by the names of the text."""
    return program.tree if isinstance(program, TracedProgram) else dict


def write_parameters(
    program: Program, settings: Mapping[str, str | int | float], notes: Mapping[str, str]
) -> Callable[[Result, Path], None]:
    """Return what writes the parameters of a result to a file, with what belongs to them."""

    def write(result: Result, path: Path) -> None:
        write_checkpoint(path, Checkpoint(result, settings, program.units), notes)

    return write
