"""Tables for a notebook. All text is escaped: it may come from an untrusted file."""

import base64
from collections.abc import Iterable, Sequence

from markupsafe import Markup

from mnist_exp.report import page
from mnist_exp.terminal import messages

LEFT, RIGHT = "left", "right"


def table(
    rows: Iterable[Sequence[str]], headings: Sequence[str] = (), alignments: Sequence[str] = (), title: str = ""
) -> str:
    """Return an HTML table; without headings, the first cell of each row is one.

    Args:
        rows: the cells of each row.
        headings: of the columns.
        alignments: of the columns, `LEFT` or `RIGHT`; `LEFT` for further columns.
        title: a caption above it.
    """
    return page.render("notebook_table.html.j2", rows=rows, headings=headings, alignments=alignments, title=title)


def paragraphs(texts: Iterable[str]) -> str:
    """Return an HTML paragraph for each text."""
    return "".join(Markup("<p>{}</p>").format(messages.sanitize(text)) for text in texts)


def picture(png: bytes, alt: str) -> Markup:
    """Return a picture as an element with its content; pixels stay sharp."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    element = Markup('<img src="{}" alt="{}" width="56" style="image-rendering: pixelated">')
    return element.format(source, messages.sanitize(alt))
