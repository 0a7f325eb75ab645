"""How a report looks: its style sheet, and the few elements it is put together from. All text is escaped here."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from careedu.show.picture import Picture

STYLE = """
:root{color-scheme:light dark;--ink:#1d2329;--quiet:#5b6670;--paper:#fdfdfc;--panel:#f3f4f2;--line:#d9dcdb;
--accent:#0b5c8c;--better:#00664c;--worse:#a13f00;--notice:#fff6e0;--edge:#d99a00;--shade:0 114 178}
@media (prefers-color-scheme:dark){:root{--ink:#e4e7e9;--quiet:#a0abb4;--paper:#15191d;--panel:#1e242a;--line:#363e46;
--accent:#7cc4f0;--better:#5fd0ab;--worse:#ffa05c;--notice:#2e2610;--edge:#d99a00;--shade:86 180 233}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth}
body{margin:0;background:var(--paper);color:var(--ink);overflow-wrap:break-word;
font:1rem/1.6 system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
main{max-width:58rem;margin:0 auto;padding:3rem 1.25rem 4rem}
h1{font-size:1.9rem;line-height:1.2;margin:.2rem 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .8rem;padding-top:.8rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.8rem 0 .3rem}
p,li{max-width:44rem}
p{margin:.6rem 0}
ul{padding-left:1.2rem;margin:.6rem 0}
li{margin:.35rem 0}
a{color:var(--accent)}
.eyebrow{margin:0;color:var(--quiet);font-size:.85rem}
.quiet{color:var(--quiet);font-size:.9rem}
nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;list-style:none;padding:0;margin:1.2rem 0 0;font-size:.9rem}
nav li{margin:0}
.notice{background:var(--notice);border-left:4px solid var(--edge);padding:.6rem 1rem;margin:1rem 0;max-width:44rem}
.notice ul,.notice p{margin:.2rem 0}
.scroll{overflow-x:auto;margin:1rem 0}
.scroll:focus-visible,a:focus-visible,pre:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
table{border-collapse:collapse;width:100%;font-size:.86rem;line-height:1.4;font-variant-numeric:tabular-nums}
caption{text-align:left;color:var(--quiet);padding:0 0 .4rem}
th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;border-bottom:1px solid var(--line)}
thead th{font-weight:600;color:var(--quiet);vertical-align:bottom;border-bottom:1.5px solid var(--quiet)}
tbody th{font-weight:600;min-width:6.5rem;max-width:16rem;overflow-wrap:anywhere}
.names thead th{overflow-wrap:anywhere;min-width:4.4rem}
.numbers td{min-width:4rem}
.options{overflow-wrap:anywhere;min-width:7rem}
dl{margin:.6rem 0 1.4rem;font-size:.86rem;line-height:1.4;columns:2 20rem;column-gap:2.5rem}
dl>div{display:flex;gap:.8rem;padding:.3rem 0;border-bottom:1px solid var(--line);break-inside:avoid}
dt{flex:0 0 8.5rem;font-weight:600;overflow-wrap:anywhere}
dd{margin:0;min-width:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
td small,th small{display:block;color:var(--quiet);font-size:.78rem;font-weight:400}
.numbers td small{white-space:nowrap}
.better{color:var(--better);font-weight:600}
.worse{color:var(--worse);font-weight:600}
.matrices{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,var(--wide)),1fr));gap:.4rem 2.2rem}
.matrices td{padding:.35rem .5rem;text-align:right;min-width:2.6rem;
background:rgb(var(--shade)/calc(var(--share,0)*.5))}
.matrices thead th{text-align:right;padding:.35rem .5rem;overflow-wrap:anywhere}
.matrices thead th:first-child{text-align:left;padding-left:0}
.matrices td.diagonal{font-weight:700}
.matrices caption{color:var(--ink);font-weight:600}
figure{margin:1.4rem 0}
figure img{display:block;max-width:100%;height:auto;background:#fff;border-radius:6px}
figcaption{color:var(--quiet);font-size:.86rem;margin-top:.4rem;max-width:42rem}
pre{background:var(--panel);border-radius:6px;padding:1rem;overflow-x:auto;font-size:.82rem;line-height:1.5}
code{font-family:ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
@media screen and (max-width:40rem){
main{padding:1.5rem 1rem 3rem}
h1{font-size:1.5rem}
h2{margin-top:2.2rem}
table{font-size:.78rem}
th,td{padding-right:.4rem}
tbody th{min-width:5.2rem}
.numbers td{min-width:3.2rem}
.stack thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}
.stack,.stack tbody,.stack tr,.stack th,.stack td,.stack caption{display:block;max-width:none}
.stack th,.stack td{border:0;padding:.1rem 0}
.stack tr{border-bottom:1px solid var(--line);padding:.4rem 0}
.stack td::before{content:attr(data-label)": ";color:var(--quiet)}
}
@page{size:A4;margin:16mm 15mm}
@media print{
:root{color-scheme:light;--ink:#000;--quiet:#444;--paper:#fff;--panel:#f4f4f4;--line:#bbb;--accent:#000;
--better:#00543f;--worse:#8a3600;--notice:#fff8e8;--edge:#b98300;--shade:0 114 178}
html{font-size:10.5pt}
body{background:#fff}
main{max-width:none;padding:0}
nav{display:none}
h1,h2,h3,caption{break-after:avoid}
h2{margin-top:1.8rem}
p,li{orphans:3;widows:3}
p,li,.notice{max-width:none}
.scroll{overflow:visible}
table{font-size:8pt}
tr,figure,.notice,.matrices>div,li{break-inside:avoid}
.short{break-inside:avoid}
thead{display:table-header-group}
.numbers td,.names thead th,.matrices td{min-width:0}
dl{font-size:8pt}
.matrices{grid-template-columns:repeat(auto-fill,minmax(min(100%,calc(var(--wide)*.8)),1fr))}
figure img{max-height:225mm;width:auto;max-width:100%}
pre{overflow:visible;white-space:pre-wrap;overflow-wrap:anywhere;font-size:8pt;border:1px solid var(--line)}
.matrices td{print-color-adjust:exact;-webkit-print-color-adjust:exact}
.notice{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Parameters
    ----------
    text : str
    detail : str
        A second, smaller line.
    values : tuple of float
        The numbers behind the text, in full, so that they can be read back from the page.
    kind : str
        A class of the style sheet.
    share : float, optional
        How deep the cell is shaded, 0 to 1.
    """

    text: str
    detail: str = ""
    values: tuple[float, ...] = ()
    kind: str = ""
    share: float | None = None

    def markup(self, column: str = "") -> str:
        """The cell as an element: of the column called so, or a row's heading."""
        inside = escape(self.text)
        if self.values:
            inside = f'<data value="{" ".join(repr(float(v)) for v in self.values)}">{inside}</data>'
        if self.detail:
            inside += f"<small>{escape(self.detail)}</small>"
        kind = f' class="{escape(self.kind)}"' if self.kind else ""
        style = "" if self.share is None or not math.isfinite(self.share) else f' style="--share:{self.share:.3f}"'
        if not column:
            return f'<th scope="row"{kind}>{inside}</th>'
        return f'<td{kind}{style} data-label="{escape(column)}">{inside}</td>'


def escape(text: object) -> str:
    """Text that is text and nothing else, in an element or an attribute."""
    return html.escape(str(text), quote=True)


def section(anchor: str, title: str, *parts: str) -> str:
    """One part of the page under a heading."""
    return f'<section id="{escape(anchor)}">\n<h2>{escape(title)}</h2>\n{chr(10).join(filter(None, parts))}\n</section>'


def paragraph(text: str, kind: str = "") -> str:
    """One paragraph."""
    return f"<p{_kind(kind)}>{escape(text)}</p>" if text else ""


def bullets(lines: Iterable[str]) -> str:
    """A list of sentences."""
    return "<ul>\n" + "\n".join(f"<li>{escape(line)}</li>" for line in lines) + "\n</ul>"


def notice(title: str, lines: Sequence[str]) -> str:
    """Something that must not be overlooked; nothing where there are no lines."""
    if not lines:
        return ""
    return f'<div class="notice" role="note"><p><strong>{escape(title)}</strong></p>{bullets(lines)}</div>'


def facts(title: str, values: Mapping[str, str]) -> str:
    """Names and what is written down about them."""
    pairs = "\n".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in values.items())
    return f"<h3>{escape(title)}</h3>\n<dl>\n{pairs}\n</dl>"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Cell | str]], kind: str = "") -> str:
    """A table of which the first cell of each row is the row's heading; it scrolls where the page is too narrow.

    Parameters
    ----------
    caption : str
    head : sequence of str
        Headings of all columns, that of the row headings included.
    rows : sequence of sequence of Cell or str
    kind : str
        A class of the style sheet.

    Returns
    -------
    str
    """
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    lines = []
    for row in rows:
        cells = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        markup = [cells[0].markup(), *(c.markup(name) for name, c in zip(head[1:], cells[1:], strict=True))]
        lines.append(f"<tr>{''.join(markup)}</tr>")
    kind = f"{kind} short".strip() if len(rows) <= 14 else kind
    body = "\n".join(lines)
    whole = (
        f"<table{_kind(kind)}><caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )
    # Reached by the keyboard as well, since it may have to be scrolled.
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">{whole}</div>'


def figure(picture: Picture, caption: str) -> str:
    """A picture inside the page itself, with its alternative text."""
    data = base64.b64encode(picture.png).decode()
    return (
        f'<figure><img alt="{escape(picture.alt)}" width="{int(picture.width)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def code(source: str) -> str:
    """Lines of Python."""
    return f'<pre tabindex="0" aria-label="Python code"><code>{escape(source)}</code></pre>'


def page(title: str, header: str, sections: Sequence[str]) -> bytes:
    """The whole page: nothing in it comes from elsewhere, and nothing runs.

    Parameters
    ----------
    title : str
    header, sections : str and sequence of str
        Elements, escaped already.

    Returns
    -------
    bytes
        UTF-8.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The browser itself sees to it that nothing is fetched and nothing runs, whatever the page holds.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{header}\n"
        + "\n".join(sections)
        + "\n</main>\n</body>\n</html>\n"
    ).encode("utf-8", errors="replace")


def _kind(kind: str) -> str:
    return f' class="{escape(kind)}"' if kind else ""
