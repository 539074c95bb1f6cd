"""What each start structure and temperature has in the picks of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.origins import PickShare


def temperature_of(share: PickShare) -> float:
    """Return the temperature of an origin in K."""
    temperature = share.origin.temperature
    return ExplorationSettings().temperature if temperature is None else temperature


def composition_values(shares: Sequence[PickShare]) -> list[dict[str, Any]]:
    """Return shares as plain values: the origin, its frames, and how many of them were picked for what."""
    return [
        {
            "structure": share.origin.structure,
            "defect": share.origin.defect,
            "n_atoms": share.origin.n_atoms,
            "temperature": temperature_of(share),
            "n_frames": share.n_frames,
            **{f"n_{role}": share.picks[role] for role in ROLES},
        }
        for share in shares
    ]


def composition_cells(rounds: Mapping[int, Sequence[PickShare]]) -> Cells:
    """Return how many frames were picked from which start structure, defect and temperature, by round."""
    return Cells(
        (
            "round",
            "start structure",
            "defect",
            "atoms",
            "temperature\n(K)",
            "frames",
            "picked for\ntraining",
            "\nvalidation",
            "\nfixed",
        ),
        [
            (
                f"{index}",
                share.origin.structure,
                share.origin.defect,
                f"{share.origin.n_atoms}",
                f"{temperature_of(share):g}",
                f"{share.n_frames}",
                *(f"{share.picks[role]}" for role in ROLES),
            )
            for index, shares in rounds.items()
            for share in shares
        ],
    )


def composition_lines(rounds: Mapping[int, Sequence[PickShare]]) -> list[str]:
    """Return what was picked in each round from which start structure and temperature, one line a round."""
    lines = []
    for index, shares in rounds.items():
        parts = [f"{share.origin.structure} at {temperature_of(share):g} K {share.in_words}" for share in shares]
        if parts:
            lines.append(f"round {index}, picks: {'; '.join(parts)}")
    return lines
