"""Networks from Python: functions of ``jax.numpy``, read as jaxprs, become networks of the language."""
