"""Figures as SVG that stands inside of a page."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 130
"""Of the clouds of points that are kept as pictures inside of the drawing."""
_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def inline_svg(figure: Figure, name: str, title: str) -> str:
    """Return a figure as an ``svg`` element for HTML.

    Equal figures give equal text. Text stays text, so that it can be searched and read aloud.

    :param name: what all its ids begin with, which no other figure of the page has.
    :param title: what the figure shows, for those who do not see it.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", dpi=DOTS_PER_INCH, metadata=_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    # Ids of figures are counted from one in each: the name makes them unique.
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{name}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", text)
    text = text.replace("xlink:href=", "href=")
    # HTML knows these names by itself; nothing in a page should look like an address elsewhere.
    text = re.sub(r'\s+xmlns(?::\w+)?="[^"]*"', "", text)
    width, height = (float(re.search(rf'\b{side}="([\d.]+)pt"', text)[1]) for side in ("width", "height"))  # type: ignore[index]
    head = (
        f'<svg role="img" aria-labelledby="{name}-title" viewBox="0 0 {width:g} {height:g}" '
        f'style="width:{width / 0.75:.0f}px;min-width:{0.62 * width / 0.75:.0f}px">'
        f'<title id="{name}-title">{html.escape(title)}</title>'
    )
    return head + text[text.index(">") + 1 :].strip()
