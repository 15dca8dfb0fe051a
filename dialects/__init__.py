"""The IR dialects: declarations only; nothing here imports JAX."""
