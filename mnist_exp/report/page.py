"""Self-contained HTML pages from templates: values are escaped, and only the page's own scripts run."""

import base64
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mnist_exp.terminal import messages

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, scripts: Sequence[str] = (), folder: Path = TEMPLATES, **values: Any) -> str:
    """Render a template.

    Args:
        template: its file name.
        scripts: to run, in this order. The template has them as `scripts`, and a Content-Security-Policy that allows only
            them, by their hashes, and no request, as `policy`.
        folder: of the template; those of this package are available to it.
        values: other names in the template.
    """
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    shown = "img-src data:; style-src 'unsafe-inline'"
    policy = f"default-src 'none'; {shown}; script-src {allowed}; base-uri 'none'; form-action 'none'"
    elements = [Markup(f"<script>{script}</script>") for script in scripts if _is_embeddable(script)]  # noqa: S704  (ours)
    return _environment(folder).get_template(template).render(scripts=elements, policy=policy, **values)


def script(name: str) -> str:
    """Read a script from the directory of the templates."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def json_script(content: Any) -> Markup:
    """Return JSON for a <script type="application/json">: no text in it can end the script."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704  (escaped in the way that a script needs)


def _is_embeddable(script: str) -> bool:
    """Return whether HTML reads a script to its end; a page without it is complete, but not interactive."""
    return "</script" not in script.lower() and "<!--" not in script


def _sanitize(value: Any) -> Any:
    """Remove control characters from a text, which may be from an untrusted file, but not from its lines."""
    return "\n".join(map(messages.sanitize, value.split("\n"))) if type(value) is str else value


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    """Return the one environment of all pages from a folder: to compile a template takes as long as to draw a chart."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        finalize=_sanitize,
    )
