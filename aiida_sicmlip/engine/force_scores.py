"""Errors of predicted forces on migrating atoms, their surroundings and elsewhere, from files: `sicmlip score`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.frame_pairs import energy_of_frame, forces_of_frame, read_pairs
from aiida_sicmlip.engine.frames import find_hosts, read_hosts
from aiida_sicmlip.engine.reports import reported
from aiida_sicmlip.science.defects.host_sites import first_host_that_fits
from aiida_sicmlip.science.defects.migrating_atoms import (
    MIGRATION_DIFFERENCE,
    REGIONS,
    VACANCY_RADIUS,
    DefectFinder,
    FrameDefects,
)
from aiida_sicmlip.science.evaluation.rare_events import (
    ANGLE_RANGE,
    MAGNITUDE_RANGE,
    NO_DIRECTION,
    ForceScore,
    score_regions,
)


def score(options: argparse.Namespace) -> None:
    """Compare the frames of two files, print a table and write a report.

    :raises InputError: when a file cannot be used, or the frames are not the same.
    """
    output: Path = options.output
    with reported(output) as report:
        pairs = read_pairs(options.reference, options.prediction)
        hosts = read_hosts(options.host) if options.host else find_hosts([frame for frame, _ in pairs])
        finders = {name: DefectFinder(host) for name, host in hosts.items()}
        report["hosts"] = {name: _host_entry(finder, bool(options.host)) for name, finder in finders.items()}
        report["settings"] = {
            "bins": options.bins,
            "magnitude_range": MAGNITUDE_RANGE,
            "angle_range": ANGLE_RANGE,
            "no_direction": NO_DIRECTION,
        }
        reference, predicted, masks, entries = [], [], [], []
        for index, (frame, other) in enumerate(pairs):
            name, defects = _find(finders, frame, index)
            forces = [
                forces_of_frame(frame, options.reference, index),
                forces_of_frame(other, options.prediction, index),
            ]
            reference.append(forces[0])
            predicted.append(forces[1])
            masks.append(np.array(list(defects.regions.values())))
            entries.append({"host": name, **_frame_entry(defects, forces[1] - forces[0])})
        regions = dict(zip(REGIONS, np.concatenate(masks, axis=1), strict=True))
        scores = score_regions(np.concatenate(predicted), np.concatenate(reference), regions, options.bins)
        report["energies"] = _energy_errors(pairs)
        report["regions"] = {name: found.to_dict() for name, found in scores.items()}
        report["frames"] = entries
    _print(scores, report["energies"], entries)
    print(f"All numbers are in {output}.")


def _find(finders: Mapping[str, DefectFinder], frame: Atoms, index: int) -> tuple[str, FrameDefects]:
    """Return the defects of a frame and the name of the host, the first one that it fits.

    :raises InputError: when it fits none.
    """
    try:
        return first_host_that_fits(finders, frame, DefectFinder.find)
    except InputError as problem:
        what = f"Frame {index}, counted from 0, fits none of the perfect crystals ({', '.join(finders)})"
        raise InputError(f"{what}. {problem}") from problem


def _host_entry(finder: DefectFinder, given: bool) -> dict[str, Any]:
    """Return the report of a host: lengths in A, and its sites where it was inferred."""
    nearest = finder.sites.nearest_distance
    sites = {"symbols": finder.host.get_chemical_symbols(), "positions": finder.host.positions.tolist()}
    return {
        "given": given,
        "formula": finder.host.get_chemical_formula(),
        "n_sites": len(finder.sites),
        "nearest_distance": nearest,
        "vacancy_radius": VACANCY_RADIUS * nearest,
        "migration_difference": MIGRATION_DIFFERENCE * nearest,
        "surroundings_radius": finder.surroundings_radius,
        **({} if given else sites),
    }


def _frame_entry(defects: FrameDefects, difference: np.ndarray) -> dict[str, Any]:
    """Return the report of a frame; `difference` is predicted minus reference force, (N, 3) in eV/A."""
    return {
        "n_atoms": len(difference),
        **{f"n_{name}": int(atoms.sum()) for name, atoms in defects.regions.items()},
        "migrating": [int(atom) for atom in np.flatnonzero(defects.migrating)],
        "vacant_sites": [int(site) for site in defects.vacant_sites],
        "vacancies": defects.vacancies,
        "antisites": defects.antisites,
        "substitutions": defects.substitutions,
        "interstitials": defects.interstitials,
        "force_mae": float(np.abs(difference).mean()),
        "force_rmse": float(np.sqrt((difference**2).mean())),
    }


def _energy_errors(pairs: Sequence[tuple[Atoms, Atoms]]) -> dict[str, Any]:
    """Return the errors of the total energies per atom, in eV/atom; none where a frame lacks an energy."""
    energies = np.array([[energy_of_frame(atoms) for atoms in pair] for pair in pairs])
    lacking = np.flatnonzero(np.isnan(energies).any(axis=1))
    if len(lacking):
        return {"mae": None, "rmse": None, "reason": f"Frame {lacking[0]}, counted from 0, lacks an energy."}
    errors = (energies[:, 1] - energies[:, 0]) / [len(frame) for frame, _ in pairs]
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt((errors**2).mean())), "reason": None}


def _print(scores: Mapping[str, ForceScore], energies: Mapping[str, Any], frames: Sequence[Mapping[str, Any]]) -> None:
    n_with = sum(entry["n_migrating"] > 0 for entry in frames)
    print(f"{len(frames)} frames, {n_with} of them with migrating atoms")
    if energies["reason"] is None:
        print(f"energies (eV/atom): MAE {energies['mae']:.5f}, RMSE {energies['rmse']:.5f}")
    print(
        f"{'':12s}{'atoms':>9s}{'MAE':>9s}{'RMSE':>9s}{'dF':>9s}{'dtheta':>9s}{'NAC(dF)':>9s}{'NAC(dth)':>9s}{'P':>9s}"
    )
    print(f"{'':21s}{'eV/A':>9s}{'eV/A':>9s}{'eV/A':>9s}{'degrees':>9s}")
    for name, found in scores.items():
        values = (
            (found.force_mae, 4),
            (found.force_rmse, 4),
            (found.delta_f.mean, 4),
            (found.delta_theta.mean, 2),
            (found.delta_f.nac, 4),
            (found.delta_theta.nac, 4),
            (found.score, 4),
        )
        cells = (f"{value:9.{digits}f}" if value is not None else f"{'-':>9s}" for value, digits in values)
        print(f"{name:12s}{found.n_atoms:9d}{''.join(cells)}")
    for name, found in scores.items():
        if found.reason is not None:
            print(f"No score for `{name}`: {found.reason}")
