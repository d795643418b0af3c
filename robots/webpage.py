"""Pieces of a web page that needs nothing but itself: text, tables, pictures, a film."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

EMBEDDED_VIDEO_BYTES = 8_000_000
"""A film larger than this is linked to and not embedded."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2329; --soft: #5c6670; --line: #d9dee3;
  --paper: #ffffff; --card: #f5f7f9; --link: #0064a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9aa5b0; --line: #353d45;
  --paper: #15191d; --card: #1e242a; --link: #6cbcf5; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 940px; margin: 0 auto; padding: 2.5rem 20px 4rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -0.02em; margin: 0 0 0.75rem; }
h2 { font-size: 1.3rem; letter-spacing: -0.01em; margin: 3rem 0 0.75rem; padding-top: 0.75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.75rem 0 0.5rem; }
p { margin: 0.6rem 0; max-width: 44rem; }
a { color: var(--link); }
video { display: block; width: 100%; border-radius: 8px; background: #000; }
figure { margin: 1.25rem 0; }
figure img { display: block; width: 100%; background: #fff; border-radius: 8px;
  border: 1px solid var(--line); padding: 8px; }
figcaption { color: var(--soft); font-size: 0.875rem; margin-top: 0.4rem; max-width: 44rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.28rem 0.9rem; text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
tr.total td { font-weight: 600; }
table.pairs td + td { text-align: left; }
table.pairs td:first-child { color: var(--soft); white-space: nowrap; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px; margin: 1.25rem 0; }
.numbers div { background: var(--card); border-radius: 8px; padding: 0.7rem 1rem;
  flex: 1 1 150px; }
.numbers b { display: block; white-space: nowrap; font-size: 1.35rem; font-weight: 600;
  letter-spacing: -0.01em; font-variant-numeric: tabular-nums; }
.numbers span { color: var(--soft); font-size: 0.85rem; }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
"""


def page(title: str, body: Sequence[str]) -> str:
    """A whole page.

    Args:
        title: text.
        body: HTML, piece after piece.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Without this browsers ask the server, or the disk, for an icon.
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</main>\n</body>\n</html>\n"
    )


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def heading(text: str, level: int = 2) -> str:
    """A heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]], total: bool = False) -> str:
    """A table of plain texts: the first column to the left, the others, numbers, to the right.

    Args:
        head: titles of the columns, with units.
        rows: as many texts in each.
        total: whether the last row sums up the others.
    """
    lines = [
        "<tr{}>{}</tr>".format(
            ' class="total"' if total and index == len(rows) - 1 else "",
            "".join(f"<td>{escape(cell)}</td>" for cell in row),
        )
        for index, row in enumerate(rows)
    ]
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return (
        f'<div class="scroll"><table><thead><tr>{titles}</tr></thead>\n<tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def pairs(rows: Sequence[tuple[str, str]]) -> str:
    """A table of names and what they stand for, both plain text."""
    lines = [f"<tr><td>{escape(name)}</td><td>{escape(text)}</td></tr>" for name, text in rows]
    lines_ = "\n".join(lines)
    return f'<div class="scroll"><table class="pairs"><tbody>{lines_}</tbody></table></div>'


def numbers(items: Sequence[tuple[str, str]]) -> str:
    """A few important numbers, large: pairs of a number with its unit, and what it is."""
    cells = [
        f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in items
    ]
    return f'<div class="numbers">{"".join(cells)}</div>'


def picture(png: bytes, caption: str) -> str:
    """An embedded picture with a caption, which also serves those who cannot see it."""
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="{_data_uri(png, "image/png")}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def video(path: Path, caption: str) -> str:
    """A film, embedded if it is not too large, with a link to the file beside the page."""
    link = f'<a href="{escape(path.name)}">{escape(path.name)}</a>'
    label = f"<figcaption>{escape(caption)} Also as a file: {link}.</figcaption>"
    if path.stat().st_size > EMBEDDED_VIDEO_BYTES:
        source = escape(path.name)
    else:
        source = _data_uri(path.read_bytes(), "video/mp4")
    return (
        f'<figure><video controls loop muted playsinline preload="auto" src="{source}"></video>'
        f"{label}</figure>"
    )


def film(mp4: bytes, caption: str) -> str:
    """An embedded film, which begins to play when it is asked to."""
    text = escape(caption)
    return (
        f'<figure><video controls loop muted playsinline preload="auto" aria-label="{text}" '
        f'src="{_data_uri(mp4, "video/mp4")}"></video><figcaption>{text}</figcaption></figure>'
    )


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
