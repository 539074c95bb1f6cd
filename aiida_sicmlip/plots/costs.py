"""Plot of the costs of rounds by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from aiida_sicmlip.plots.style import distinct_colours


def plot_costs(
    axes: Axes, rounds: Sequence[int], costs: Mapping[str, Sequence[float]], *, quantity: str = "core hours"
) -> Axes:
    """Draw a stacked bar of the costs of the steps for each round.

    :param costs: by step, one value for each round, in the unit of ``quantity``.
    """
    left = np.zeros(len(rounds))
    for (name, values), colour in zip(costs.items(), distinct_colours(len(costs)), strict=True):
        axes.barh(list(rounds), list(values), left=left, height=0.6, color=colour, label=name)
        left += np.asarray(values, dtype=float)
    axes.set_xlabel(quantity)
    axes.set_ylabel("round")
    axes.set_yticks(list(rounds))
    axes.invert_yaxis()
    return axes
