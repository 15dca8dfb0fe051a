"""Makes the page: a template with its style, its scripts and its data in it, and nothing from elsewhere.

Names in the data come from others' files. They are data of JSON in which no tag can be, the script shows
them as text alone, and the page allows no script but its own, whose checksums it names.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from pjc.diagnostics import printable

GENERATOR = "pjc view"
"""What the page says that it was made by."""
_HERE = Path(__file__).parent
_SCRIPTS = (
    "dagre.min.js",
    "elements.js",
    "layout.js",
    "graph.js",
    "dumps.js",
    "curves.js",
    "trace.js",
    "report.js",
)
"""The scripts of the page, in the order in which they run; the first is of others, dagre.LICENSE theirs."""
_UNSAFE = {ord(each): f"\\u{ord(each):04x}" for each in "<>&'"}


def page(record: Mapping[str, Any]) -> str:
    """Return the file of HTML that shows a record."""
    style = _read("report.css")
    scripts = [_read(name) for name in _SCRIPTS]
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        f"style-src {_checksum(style)}; script-src {' '.join(map(_checksum, scripts))}"
    )
    return Template(_read("report.html")).substitute(
        policy=html.escape(policy),
        generator=GENERATOR,
        title=html.escape(printable(f"{record['name']}: report of pjc")),
        style=style,
        data=json.dumps(record, allow_nan=False, separators=(",", ":")).translate(_UNSAFE),
        licence=_read("dagre.LICENSE"),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )


def data_of(text: str) -> Any:
    """Return the record that a page shows."""
    _, _, rest = text.partition('<script type="application/json" id="data">')
    return json.loads(rest.partition("</script>")[0])


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _checksum(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
