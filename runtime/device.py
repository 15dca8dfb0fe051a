"""How much memory a device has."""

from __future__ import annotations

import os
from pathlib import Path

import jax

CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
"""Where Linux says how much memory a container may use; "max" where it may use all."""


def device_memory() -> int:
    """Return the bytes of this process's first device's memory, for a CPU the computer's; 0 if unknown."""
    device = jax.local_devices()[0]
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return int(stats["bytes_limit"])
    if device.platform != "cpu" or not hasattr(os, "sysconf"):
        return 0
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(memory, int(CONTROL_GROUP.read_text()))
    except (OSError, ValueError):
        return memory
