"""The forms in which the copies of a product may be held, by name. Nothing heavy is imported."""

from __future__ import annotations

FORMS = ("exact", "held", "shared", "factored")
"""All copies, in every state of an iteration or in one; what they have in common; or rank-one corrections."""

HALFWAY = ("held", "factored")
"""Those that go from one iteration's to the next's, in Douglas-Rachford at relaxation 1/2."""

WITHOUT_WINDOWS = ("shared", "factored")
"""Those of a dot over windows that never make the windows: it can be a convolution."""

TREATMENTS = ("plain", "cap", "unit", "power")
"""What is done in a sweep about the size of what a product asks of a value: see proj.bound."""
