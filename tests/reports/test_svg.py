"""Figures that stand inside of a page."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
from matplotlib.figure import Figure

from aiida_sicmlip.reports.svg import inline_svg


def figure() -> Figure:
    """Return a figure with markers, clipped lines, text and a picture."""
    made = Figure()
    axes = made.subplots()
    points = np.random.default_rng(1).normal(size=(50, 2))
    axes.plot(*points.T, marker="o")
    axes.scatter(*points.T, rasterized=True)
    axes.set_title("<b> & Å")
    return made


def test_ids_belong_to_the_figure_and_are_all_there():
    text = inline_svg(figure(), "one", "A <figure>")
    ElementTree.fromstring(text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids) > 5 and all(name.startswith("one-") for name in ids)
    used = re.findall(r'href="#([^"]+)"', text) + re.findall(r"url\(#([^)]+)\)", text)
    assert used and set(used) <= set(ids)
    assert 'href="data:image/png;base64,' in text and "http" not in re.sub(r"base64,[^\"]+", "", text)


def test_text_is_text_and_equal_figures_are_equal():
    text = inline_svg(figure(), "one", "A <figure>")
    assert "&lt;b&gt; &amp; Å" in text and '<title id="one-title">A &lt;figure&gt;</title>' in text
    assert inline_svg(figure(), "one", "A <figure>") == text
