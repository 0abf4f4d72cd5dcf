"""Self-contained pages from templates: what users wrote is escaped, and no script runs but those of the page itself."""

import base64
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, scripts: Sequence[str] = (), **values: Any) -> str:
    """A page.

    Args:
        template: its file name.
        scripts: to run, in this order; the template's `scripts` and `policy` hold them and what allows them alone.
        values: what the template names.
    """
    embedded = [Markup(f"<script>{script}</script>") for script in scripts if _embeddable(script)]  # noqa: S704  (ours)
    return _templates().get_template(template).render(scripts=embedded, policy=policy(scripts), **values)


def script(name: str) -> str:
    """A script that stands beside the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def policy(scripts: Sequence[str]) -> str:
    """A Content-Security-Policy under which nothing is fetched, and only these scripts run, known by their hashes."""
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    shown = "img-src data:; style-src 'unsafe-inline'"
    return f"default-src 'none'; {shown}; script-src {allowed}; base-uri 'none'; form-action 'none'"


def embedded(content: Any) -> Markup:
    """JSON for a <script type="application/json">: no text in it can end the script."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704  (escaped in the way that a script needs)


def _embeddable(script: str) -> bool:
    """Whether HTML takes a script for what it is; a page without it is whole, but does not answer."""
    return "</script" not in script.lower() and "<!--" not in script


@functools.cache
def _templates() -> jinja2.Environment:
    """One for all pages of a process: to compile a template takes as long as to draw a chart."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
