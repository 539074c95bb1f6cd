"""Errors along a free run: whether a potential stays good where its own dynamics lead it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aiida_sicmlip.science.settings import Settings, integer, number


@dataclass(frozen=True)
class FinalRunSettings(Settings):
    """Free runs with the last potential, with labels along them, before a run counts as converged.

    As the paper's Figure 5 does for its transfer to other defects: forces of dynamics without a bias against DFT, whose
    error must stay below a threshold.
    """

    PREFIX = "final_run."

    temperature: float | None = number(None, "temperature; null for the highest of the exploration", unit="K", above=0)
    production: float = number(100.0, "length of each run after its equilibration", unit="ps", above=0)
    walkers: int = integer(1, "independent runs from each start structure", at_least=1)
    n_labels: int = integer(10, "labels along each run, evenly in time", at_least=2)
    force_mae: float = number(
        0.1, "force MAE on the labels of each half of each run; all have to be below this", unit="eV/A", above=0
    )

    def times(self) -> np.ndarray:
        """Return the times of the labels in ps, (n_labels,); the last is at the end of the run."""
        return np.arange(1, self.n_labels + 1) * (self.production / self.n_labels)


@dataclass(frozen=True)
class Segment:
    """A segment of a run.

    label: its link label.
    continues: whether it continues the one before it.
    times: of its frames in ps.
    interval: between two frames in ps.
    """

    label: str
    continues: bool
    times: np.ndarray
    interval: float


def plan_labels(settings: FinalRunSettings, segments: Mapping[str, Sequence[Segment]]) -> list[dict[str, Any]]:
    """Return the frames to label of each run: those nearest to the times of the settings, as far as the run reached.

    :param segments: of each start structure, in their order.
    :return: for each run ``structure``, ``reached`` (ps), ``ended_early``, and ``frames`` with ``segment``, ``index``
        and ``time`` (ps). A run that has no frames has reached 0 ps.
    """
    runs = []
    for structure, parts in segments.items():
        of_structure: list[list[Segment]] = []
        for part in parts:
            if part.continues and of_structure:
                of_structure[-1].append(part)
            else:
                of_structure.append([part])
        # Which of the walkers left no frames does not matter.
        of_structure += [[] for _ in range(settings.walkers - len(of_structure))]
        runs += [_plan_of_run(settings, structure, run) for run in of_structure]
    return runs


def _plan_of_run(settings: FinalRunSettings, structure: str, run: Sequence[Segment]) -> dict[str, Any]:
    """Return what :func:`plan_labels` does for one run."""
    places = [(part.label, index) for part in run for index in range(len(part.times))]
    times = np.concatenate([np.empty(0), *(part.times for part in run)])
    reached = float(times.max(initial=0.0))
    interval = run[0].interval if run else 0.0
    frames: dict[tuple[str, int], float] = {}
    for time in settings.times():
        # Of a run that ended early, what it did not reach is not labelled.
        if len(times) and time <= reached + interval / 2:
            nearest = int(np.abs(times - time).argmin())
            frames[places[nearest]] = float(times[nearest])
    return {
        "structure": structure,
        "reached": reached,
        "ended_early": reached < settings.production - 1.01 * interval or not len(times),
        "frames": [{"segment": label, "index": index, "time": time} for (label, index), time in frames.items()],
    }


def assess_labels_of_run(
    settings: FinalRunSettings,
    runs: Sequence[Mapping[str, Any]],
    places: Mapping[tuple[str, int], int],
    errors: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return whether the potential passed its final run, with the error of each label against time.

    It passes if every run reached its end, and on each half of it the labels have a mean force MAE below the threshold.

    :param runs: of :func:`plan_labels`.
    :param places: index of each labelled frame, by segment and index, in the evaluated data set; failed labels are left
        out.
    :param errors: evaluation of the potential on these labels; None where there are none.
    :return: ``met``, ``fit`` (False where a run ended early: the potential fails in free dynamics), ``message``,
        ``threshold``, ``production``, ``force_mae`` (eV/A) of all labels, ``runs`` (``structure``, ``reached``,
        ``ended_early``, ``halves``, ``labels`` with ``time``, ``force_mae``, ``energy_error``), and ``migrating`` and
        ``surroundings`` as an evaluation has them.
    """
    given = errors or {}
    by_frame: Sequence[float] = given.get("force_mae_per_frame", ())
    of_energy: Sequence[float] = given.get("energy_error_per_frame", ())
    assessed, problems = [], []
    for run in runs:
        labels = [
            {
                "time": frame["time"],
                "force_mae": by_frame[place],
                "energy_error": of_energy[place] if len(of_energy) > place else None,
            }
            for frame in run["frames"]
            if (place := places.get((frame["segment"], frame["index"]))) is not None
        ]
        halves = [
            [label["force_mae"] for label in labels if (label["time"] > settings.production / 2) is late]
            for late in (False, True)
        ]
        means = [float(np.mean(half)) if half else None for half in halves]
        assessed.append(
            {**{key: run[key] for key in ("structure", "reached", "ended_early")}, "halves": means, "labels": labels}
        )
        problem = _problem(settings, run, means)
        if problem is not None:
            problems.append(problem)
    known = [label["force_mae"] for run in assessed for label in run["labels"]]
    mean = float(np.mean(known)) if known else None
    passed = f"its force MAE stayed below {settings.force_mae:g} eV/A" + (
        f": {mean:.2g} eV/A on {len(known)} labels" if mean is not None else ""
    )
    return {
        "met": not problems,
        "fit": not any(run["ended_early"] for run in runs),
        "message": "; ".join(problems) or passed,
        "threshold": settings.force_mae,
        "production": settings.production,
        "force_mae": mean,
        "runs": assessed,
        **{
            region: {key: found.get(key) for key in ("n_atoms", "force_mae", "score")}
            for region, found in given.get("rare_events", {}).items()
            if region in ("migrating", "surroundings")
        },
    }


def _problem(settings: FinalRunSettings, run: Mapping[str, Any], halves: Sequence[float | None]) -> str | None:
    """Return in what a run does not meet what is asked; None if it does."""
    of = f"from `{run['structure']}`"
    if run["ended_early"]:
        return f"a free run {of} ended after {run['reached']:.4g} of {settings.production:g} ps"
    if any(half is None for half in halves):
        return f"too few labels along the free run {of} are known"
    if any(not half < settings.force_mae for half in halves if half is not None):
        first, second = halves
        return (
            f"the force MAE along the free run {of} did not stay below {settings.force_mae:g} eV/A: {first:.2g} in its "
            f"first half, {second:.2g} in its second"
        )
    return None
