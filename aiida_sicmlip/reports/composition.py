"""What each start structure and temperature has in the picks of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiida import orm

from aiida_sicmlip.reports.text import Cells
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.selection.picks import ROLES
from aiida_sicmlip.tools.origins import PickShare, composition_of_selection
from aiida_sicmlip.tools.selections import RoundSelection, round_selections


def shares_of_round(steps: RoundSelection) -> list[PickShare]:
    """Return what each start structure and temperature has in the picks of a round; none before there are picks."""
    picks = steps.picks
    if steps.selection is None or picks is None:
        return []
    roles = [ROLES[int(role)] for role in picks.get_array("role")]
    return composition_of_selection(steps.selection, roles, picks.get_array("segment").tolist())


def add_shares(run: orm.WorkChainNode, shares_by_round: dict[int, list[PickShare]]) -> dict[int, list[PickShare]]:
    """Add the shares of rounds that have picked to those that are known, by round, and return them.

    What a round has picked does not change: a round that is known is not looked at again.
    """
    for steps in round_selections(run):
        if steps.index not in shares_by_round and (shares := shares_of_round(steps)):
            shares_by_round[steps.index] = shares
    return shares_by_round


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
        parts = [
            f"{share.origin.structure} at {temperature_of(share):g} K {sum(share.picks.values())} of {share.n_frames}"
            for share in shares
        ]
        if parts:
            lines.append(f"round {index}, picks of frames: {'; '.join(parts)}")
    return lines
