"""Sources: who reads a file, what a record keeps, and the first values that come with a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pjc
from pjc.diagnostics import DiagnosticError
from pjc.driver import STAGES, Compilation, again
from pjc.options import Options
from pjc.sources import SOURCES, IrSource, OnnxSource, PjnSource, Source, open_source, restored, source_of
from pjc.stage_names import EMITTED

TEXT = "input x: f32[batch, 2]\ntarget y: class[batch, 2]\nparam w: f32[2, 2] = he_normal\n"
TEXT += "output z = x @ w\nrequire margin(z, y)\n"
MODEL = Path(__file__).parent / "onnx" / "torch_mlp.onnx"


def test_who_reads_a_file(tmp_path: Path) -> None:
    (tmp_path / "1st net.pjn").write_text(TEXT)
    source = open_source(tmp_path / "1st net.pjn")
    assert isinstance(source, PjnSource) and source.name == "_1st_net" and source.stage == "net"
    (tmp_path / "noted").write_text(TEXT)
    assert isinstance(open_source(tmp_path / "noted"), PjnSource)
    (tmp_path / "dump.pj").write_text(Compilation(source).emit("feas"))
    dump = open_source(tmp_path / "dump.pj")
    assert isinstance(dump, IrSource) and (dump.stage, dump.name) == ("feas", "_1st_net")
    pytest.importorskip("onnx")
    assert isinstance(open_source(MODEL), OnnxSource)


def test_python_takes_sources_texts_and_paths(tmp_path: Path) -> None:
    path = tmp_path / "net.pjn"
    path.write_text(TEXT)
    for given in (TEXT, path, str(path), PjnSource(TEXT)):
        assert pjc.compile(given, batch=3).inputs[0].shape == (3, 2)
    with pytest.raises(DiagnosticError, match=r"a network is a path, a text .* found bytes"):
        source_of(b"x\n")  # type: ignore[arg-type]


@pytest.mark.parametrize("stage", ["pjn", "net", "feas", "proj"])
def test_a_record_gives_the_source_again(stage: str) -> None:
    options = Options(batch=5, solver="rrr", step=0.5)
    compilation = Compilation(PjnSource(TEXT, "net"), options)
    if stage != "pjn":
        more: dict[str, Any] = {} if stage == "proj" else {"solver": options.method}
        compilation = Compilation(source_of(compilation.emit(stage)), Options(**more))
    record = compilation.record()
    assert restored(record).record(Options()) == compilation.source.record(compilation.options)
    assert again(record).emit("proj") == compilation.emit("proj")
    assert SOURCES[record["kind"]] is type(compilation.source)


def test_another_batch_is_had_where_the_source_has_it() -> None:
    compilation = Compilation(PjnSource(TEXT), Options(batch=5))
    assert compilation.source.has_batch
    assert compilation.for_batch(7).program().batch == 7
    assert not source_of(compilation.emit("net")).has_batch


def test_a_model_is_read_for_any_batch_and_kept_as_its_text() -> None:
    pytest.importorskip("onnx")
    source = open_source(MODEL)
    compilation = Compilation(source, Options(loss="cross_entropy"))
    program = compilation.program()
    assert program.batch is not None and program.initial.keys() == {spec.name for spec in program.parameters}
    fresh = Compilation(open_source(MODEL), Options(loss="cross_entropy", reinit=True))
    assert fresh.start.initial == {}
    record = compilation.record()
    assert record["kind"] == "onnx" and "require cross_entropy" in record["text"]
    other = again(record, batch=3)
    assert isinstance(other.source, PjnSource) and other.program().batch == 3
    with pytest.raises(DiagnosticError, match="does not say what training is to reach; give --loss"):
        Compilation(open_source(MODEL)).require_loss()


def test_the_parameters_of_a_loop_start_from_those_of_the_model(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    weight = np.arange(9, dtype=np.float32).reshape(3, 3)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["z"])],
        "cell",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "w")],
    )
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "cell.onnx")
    for use in ("h = cell.network(h)", "h = shared(h)"):
        (tmp_path / "net.pjn").write_text(
            f"use cell\ninput x: f32[batch, 3]\nshared = cell.network\nh = x\nfor t in 0..4 {{\n  {use}\n}}\n"
            "output h\n"
        )
        initial = Compilation(open_source(tmp_path / "net.pjn")).start.initial
        (found,) = initial.values()
        np.testing.assert_array_equal(found, np.broadcast_to(weight, found.shape))


def test_the_row_of_stages() -> None:
    assert [stage.name for stage in STAGES] == ["net", "feas", "proj", "placed"]
    assert all(stage.leaves for stage in STAGES) and {stage.name for stage in STAGES} < set(EMITTED)
    compilation = Compilation(PjnSource(TEXT))
    with pytest.raises(DiagnosticError, match="unknown stage 'llvm'"):
        compilation.at("llvm")
    seen: list[str] = []
    watched = Compilation(PjnSource(TEXT), Options(solver="dr"), watch=lambda name, module: seen.append(name))
    watched.at("feas")
    assert seen[0] == "net-infer-shapes" and seen[-1] == "feas-bipartition" and "feas-to-proj" not in seen


def test_a_source_of_ones_own() -> None:
    class Fixed(PjnSource):
        """A source from elsewhere, which Python hands over."""

        def unused(self) -> frozenset[str]:
            return super().unused() | {"defines"}

    assert isinstance(Fixed(TEXT), Source)
    with pytest.raises(DiagnosticError, match="defines does not apply"):
        pjc.compile(Fixed(TEXT), defines={"a": 3})
