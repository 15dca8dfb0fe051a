"""The precision of matrix products: the names that the option has for it, and JAX's."""

PRODUCTS = {"f32": "highest", "bf16": "BF16_BF16_F32"}
"""JAX's name by the option's. By JAX's default, GPUs and TPUs round float32 factors."""
