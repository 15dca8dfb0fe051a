"""The tests run on the CPU, whatever the machine has."""

import mmap
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
COMPILING_FAST = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_parallel_codegen_split_count": "1",
    "xla_cpu_use_fusion_emitters": "false",  # which alone take more than half of the time
}


def known(flags: dict[str, str]) -> str:
    """Return those of the flags that this XLA has: it ends the process at any other."""
    spec = find_spec("jaxlib")
    found = list(Path(spec.origin).parent.glob("*.so")) if spec and spec.origin else []
    if not found:
        return ""
    path = max(found, key=lambda each: each.stat().st_size)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as library:
        return " ".join(
            f"--{name}={value}" for name, value in flags.items() if library.find(name.encode()) >= 0
        )


def pytest_configure(config: pytest.Config) -> None:
    """Compile fast rather than well where no test runs long: most of the time goes into compiling."""
    if config.option.markexpr == "not slow" and "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = known(COMPILING_FAST)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """A trained network of each kind: its files, and the data it was trained on; written to by no test."""
    from trained_files import KINDS

    return {kind: make(tmp_path_factory.mktemp(kind)) for kind, make in KINDS.items()}
