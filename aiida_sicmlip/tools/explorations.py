"""Biased explorations: walkers along the same collective variables, and what they sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.heating import Heating, heating
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings
from aiida_sicmlip.science.free_energy.reweighting import Walker
from aiida_sicmlip.tools.walkers import BiasedWalker, biased_walkers, selected_frames, stored_settings


@dataclass(frozen=True)
class Exploration:
    """Walkers from one start structure along the same collective variables, in one round of a run or outside of one.

    walkers: the biased runs.
    samples: what each walker sampled, in the order of ``walkers``.
    times: of its frames in ps, (F,) each.
    """

    walkers: tuple[BiasedWalker, ...]
    samples: tuple[Walker, ...]
    times: tuple[np.ndarray, ...]

    @property
    def name(self) -> str:
        """Round and structure."""
        first = self.walkers[0]
        return first.structure if first.round is None else f"round {first.round}, {first.structure}"

    @property
    def temperature(self) -> float:
        """Of the walkers, in K.

        :raises InputError: if they have different ones.
        """
        temperatures = {temperature_of(walker) for walker in self.walkers}
        if len(temperatures) > 1:
            raise InputError(
                f"the walkers of {self.name} ran at {sorted(temperatures)} K, and the free energy depends on the "
                "temperature: choose one of them as `temperature`."
            )
        return temperatures.pop()

    def at(self, temperature: float) -> Exploration:
        """Return the walkers at one temperature, in K.

        :raises InputError: if there is none.
        """
        chosen = [number for number, walker in enumerate(self.walkers) if temperature_of(walker) == temperature]
        if not chosen:
            available = ", ".join(f"{value:g}" for value in sorted({temperature_of(walker) for walker in self.walkers}))
            raise InputError(f"no walker of {self.name} ran at {temperature:g} K; temperatures are: {available}.")
        return Exploration(
            tuple(self.walkers[number] for number in chosen),
            tuple(self.samples[number] for number in chosen),
            tuple(self.times[number] for number in chosen),
        )


def temperature_of(walker: BiasedWalker) -> float:
    """Return the temperature of a walker in K, which all its segments share."""
    return stored_settings(ExplorationSettings, walker.segments[0].inputs.parameters).temperature


def heating_of(walker: BiasedWalker) -> tuple[Heating, list[str]]:
    """Return temperatures and drift of a walker, all its segments together, and warnings about them."""
    inputs = walker.segments[0].inputs
    settings = stored_settings(ExplorationSettings, inputs.parameters)
    pace = settings.steps(stored_settings(BiasSettings, inputs.bias).pace)
    rows = [
        (_arrays(segment.outputs.thermodynamics), _arrays(segment.outputs.colvar))
        for segment in walker.segments
        if "thermodynamics" in segment.outputs
    ]
    found = heating(rows, settings.timestep, pace)
    return found, found.warnings(settings, len(inputs.structure.sites))


def read_explorations(node: orm.ProcessNode) -> list[Exploration]:
    """Return the biased explorations below a process, one for each round and start structure.

    :raises InputError: if there are none.
    """
    groups: dict[tuple[int | None, int], list[BiasedWalker]] = {}
    for walker in biased_walkers(node):
        groups.setdefault((walker.round, walker.variables.pk), []).append(walker)
    if not groups:
        raise InputError(
            f"{node.process_label or 'process'} <{node.pk}> has no biased walker whose collective variables were kept, "
            "so that there is no free energy to tell."
        )
    return [_read(walkers) for walkers in groups.values()]


def choose_exploration(explorations: Sequence[Exploration], index: int | None, structure: str | None) -> Exploration:
    """Return the exploration of a round (the last one that has any if None is given) and of a start structure.

    :raises InputError: if there is none, or several structures and none of them is named.
    """
    rounds = sorted(
        {exploration.walkers[0].round for exploration in explorations if exploration.walkers[0].round is not None}
    )
    wanted = index if index is not None else rounds[-1] if rounds else None
    chosen = [exploration for exploration in explorations if exploration.walkers[0].round == wanted]
    if not chosen:
        available = ", ".join(map(str, rounds)) or "none: it is no active-learning run"
        raise InputError(f"round {index} has no biased walkers; rounds that have: {available}.")
    names = [exploration.walkers[0].structure for exploration in chosen]
    if structure is not None:
        chosen = [exploration for exploration in chosen if exploration.walkers[0].structure == structure]
    if len(chosen) != 1:
        hint = f"none is called `{structure}`" if structure else "choose one of them as `structure`"
        raise InputError(f"the walkers began from the structures {', '.join(names)}: {hint}.")
    return chosen[0]


def selected_points(exploration: Exploration, run: orm.WorkChainNode) -> np.ndarray:
    """Return the first two variables of the frames of an exploration that were selected in its round, (K, 2)."""
    index = exploration.walkers[0].round
    selected = selected_frames(run, index) if index is not None else {}
    points = []
    for walker, sample, times in zip(exploration.walkers, exploration.samples, exploration.times, strict=True):
        for segment in walker.segments:
            for time in selected.get(segment.pk, ()):
                # Variables may be kept less often than frames: the nearest row stands for the frame.
                points.append(sample.variables[int(np.argmin(np.abs(times - time))), :2])
    return np.array(points).reshape(-1, 2)


def _read(walkers: list[BiasedWalker]) -> Exploration:
    """Return what walkers sampled, from the arrays that their calculations left."""
    samples, times = [], []
    for walker in walkers:
        arrays = [segment.outputs.colvar for segment in walker.segments]
        time, variables, bias = (
            np.concatenate([node.get_array(name) for node in arrays]) for name in ("time", "variables", "bias")
        )
        samples.append(Walker(variables, bias, f"the walker of calculation <{walker.segments[0].pk}>"))
        times.append(time)
    return Exploration(tuple(walkers), tuple(samples), tuple(times))


def _arrays(node: orm.ArrayData) -> dict[str, np.ndarray]:
    """Return the arrays of a node by name."""
    return {name: node.get_array(name) for name in node.get_arraynames()}
