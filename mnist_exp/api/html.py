"""Tables for a notebook. All text is escaped: it may come from an untrusted file."""

import base64
import html
from collections.abc import Iterable, Sequence

from mnist_exp.terminal import messages

LEFT, RIGHT = "left", "right"


class Markup(str):
    """HTML that is not escaped."""

    __slots__ = ()


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
    parts = ["<table>"]
    if title:
        parts.append(f'<caption style="text-align: left; caption-side: top; font-weight: bold">{_text(title)}</caption>')
    if headings:
        cells = (f'<th scope="col" style="text-align: {_at(alignments, i)}">{_text(h)}</th>' for i, h in enumerate(headings))
        parts.append(f"<thead><tr>{''.join(cells)}</tr></thead>")
    parts.append("<tbody>")
    for row in rows:
        cells = (f'<td style="text-align: {_at(alignments, i)}">{_text(cell)}</td>' for i, cell in enumerate(row))
        texts = list(cells)
        if not headings:
            texts[0] = f'<th scope="row" style="text-align: left">{_text(row[0])}</th>'
        parts.append(f"<tr>{''.join(texts)}</tr>")
    return "".join([*parts, "</tbody></table>"])


def paragraphs(texts: Iterable[str]) -> str:
    """Return an HTML paragraph for each text."""
    return "".join(f"<p>{_text(text)}</p>" for text in texts)


def picture(png: bytes, alt: str) -> Markup:
    """Return a picture as an element with its content; pixels stay sharp."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Markup(f'<img src="{source}" alt="{html.escape(alt)}" width="56" style="image-rendering: pixelated">')


def _at(alignments: Sequence[str], index: int) -> str:
    return alignments[index] if index < len(alignments) else LEFT


def _text(text: object) -> str:
    return text if isinstance(text, Markup) else html.escape(messages.sanitize(text))
