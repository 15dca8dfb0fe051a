"""The tests run on the CPU, whatever the machine has."""

import gc
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
SLOW_CASES = Path(__file__).with_name("slow_cases.txt")
"""Cases, and some tests, that were measured to take long where others like them take less; a line each."""
COMPILING_FAST = {
    "xla_backend_optimization_level": "0",
    "xla_llvm_disable_expensive_passes": "true",
    "xla_cpu_parallel_codegen_split_count": "1",
    "xla_cpu_use_fusion_emitters": "false",  # which alone take more than half of the time
}


def known(flags: dict[str, str]) -> str:
    """Return those of the flags that this XLA has: it ends a process at any other, so one is made to try."""

    def starts(names: list[str]) -> bool:
        environment = {**os.environ, "XLA_FLAGS": " ".join(f"--{name}={flags[name]}" for name in names)}
        tried = [sys.executable, "-c", "import jax; jax.devices()"]
        return subprocess.run(tried, env=environment, capture_output=True, check=False).returncode == 0

    found = list(flags) if starts(list(flags)) else [name for name in flags if starts([name])]
    return " ".join(f"--{name}={flags[name]}" for name in found)


def pytest_configure(config: pytest.Config) -> None:
    """Compile fast rather than well where no test runs long: most of the time goes into compiling."""
    if config.option.markexpr == "not slow" and "XLA_FLAGS" not in os.environ:
        os.environ["XLA_FLAGS"] = known(COMPILING_FAST)


@pytest.hookimpl(tryfirst=True)  # before those of -m are chosen
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow the cases that are listed as such."""
    listed = set(SLOW_CASES.read_text(encoding="utf-8").splitlines())
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Have the garbage collector pass over what is imported and made for all tests: it is kept to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, str]]:
    """A trained network of each kind: its files, and the data it was trained on; written to by no test."""
    from trained_files import KINDS

    return {kind: make(tmp_path_factory.mktemp(kind)) for kind, make in KINDS.items()}
