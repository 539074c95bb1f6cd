"""What a committee says of candidates, and which of these are then picked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.candidate_predictions import Committee
from aiida_sicmlip.engine.compiled_potential import CompiledPotential


class Pairs:
    """A Lennard-Jones crystal with the interface of a compiled model."""

    species = ("C", "Si")

    def __init__(self, epsilon: float, sigma: float = 1.7) -> None:
        self.calculator = LennardJones(epsilon=epsilon, sigma=sigma, rc=4.0, smooth=True)

    def compute(self, positions: Any, cell: Any, pbc: Any, types: Sequence[int]) -> Any:
        atoms = Atoms([self.species[kind] for kind in types], positions, cell=cell, pbc=pbc)
        return SimpleNamespace(forces=self.calculator.get_forces(atoms))


def carbide(seed: int = 0) -> Atoms:
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    atoms.rattle(0.08, seed=seed)
    return atoms


def collapsed(distance: float) -> Atoms:
    atoms = carbide(1)
    atoms.set_distance(0, 1, distance, fix=0, mic=True)
    return atoms


def test_two_members_disagree_by_half_of_their_difference() -> None:
    """Forces of Lennard-Jones pairs are proportional to epsilon: means, deviations and maxima are known."""
    weak, strong = Pairs(0.2), Pairs(0.3)
    frames = [carbide(seed) for seed in range(3)]
    disagreement, max_force = Committee([weak, strong]).predict(frames)
    for index, frame in enumerate(frames):
        frame.calc = strong.calculator
        largest = np.linalg.norm(frame.get_forces(), axis=1).max()
        assert max_force[index] == pytest.approx(largest)
        # Deviations from the mean are -1/6 and 1/6 of the larger force each.
        assert disagreement[index] == pytest.approx(largest / 6)


def test_one_member_has_forces_and_no_disagreement() -> None:
    disagreement, max_force = Committee([Pairs(0.2)]).predict([carbide()])
    assert np.isnan(disagreement[0]) and max_force[0] > 0
    assert [len(array) for array in Committee([Pairs(0.2)]).predict([])] == [0, 0]


def test_a_collapsed_pair_stands_out() -> None:
    """The nearer, the larger are forces and disagreement; where atoms are at one place both are infinite."""
    frames = [carbide(2), collapsed(1.35), collapsed(1.05)]
    disagreement, max_force = Committee([Pairs(0.2), Pairs(0.2, 1.75)]).predict(frames)
    assert (np.diff(disagreement) > 0).all() and (np.diff(max_force) > 0).all()
    assert disagreement[2] > 10 * disagreement[0]

    class Broken(Pairs):
        def compute(self, *_: Any) -> Any:
            return SimpleNamespace(forces=np.full((8, 3), np.nan))

    assert np.isinf(Committee([Pairs(0.2), Broken(0.2)]).predict(frames)).all()


def test_unknown_species_are_told() -> None:
    frame = carbide()
    frame.symbols[0] = "Ge"
    with pytest.raises(InputError, match="knows C, Si, but not Ge"):
        Committee([Pairs(0.2)]).predict([frame])


@pytest.mark.program
def test_candidates_beyond_the_force_are_not_picked(
    allegro_model: Any, describe: Any, generate_segment: Callable[..., Any], divacancy_host: Atoms
) -> None:
    """A real model on real trajectories: each candidate carries what the model predicts of it."""
    from aiida import orm

    from aiida_sicmlip.calculations.functions.select_frames import select_frames
    from aiida_sicmlip.data.compiled_potential import CompiledPotentialData

    path: Path = allegro_model.pair_allegro
    potential = CompiledPotentialData(path, path.name, species=["Si", "C"], cutoff=4.5).store()
    parameters = {"n_training": 6, "n_validation": 3, "n_max": 2, "l_max": 1, "cutoff": 3.0, "separation": 0.0}
    given = {
        "trajectories": {"vv": {"s00": generate_segment(0), "s01": generate_segment(2)}},
        "hosts": {"vv": orm.StructureData(ase=divacancy_host)},
        "potential": potential,
        "committee": {"member_01": potential},
    }
    node = describe(**given, parameters=orm.Dict(parameters))
    candidates = node.candidates()
    assert len(candidates) == describe.report["n_predicted"] == 60
    model = CompiledPotential.load(path)
    for row in (0, 17, 59):
        atoms = candidates.structure(row)
        forces = model.compute(
            atoms.positions, atoms.cell.array, atoms.pbc, [model.species.index(symbol) for symbol in atoms.symbols]
        ).forces
        assert candidates.max_force[row] == pytest.approx(np.linalg.norm(forces, axis=1).max(), rel=1e-6)
    # The members are one and the same.
    assert np.allclose(candidates.disagreement, 0.0, atol=1e-9)

    bound = float(np.quantile(candidates.max_force, 0.25))
    thresholds = orm.Dict({"max_force": bound})
    picked = select_frames(orm.Dict(parameters), orm.Int(1), node, thresholds=thresholds)
    summary = picked["summary"].get_dict()
    assert summary["window"]["n_above_force"] == (candidates.max_force > bound).sum()
    assert (summary["n_training"], summary["n_validation"]) == (6, 3)
    force = {
        (int(segment), int(frame)): value
        for segment, frame, value in zip(candidates.segment, candidates.frame, candidates.max_force, strict=True)
    }
    picks = picked["picks"]
    places = zip(picks.get_array("segment").tolist(), picks.get_array("frame").tolist(), strict=True)
    assert all(force[place] <= bound for place in places)
    assert "thresholds" in {link.link_label for link in picks.creator.base.links.get_incoming().all()}

    # More than half of the candidates are outside: the search is repeated without these.
    inside = describe(**given, parameters=orm.Dict(parameters), thresholds=thresholds).candidates()
    assert describe.report["n_outside_window"] > 30
    assert 2 * (inside.max_force > bound).sum() <= len(inside)
    assert {(s, f) for (s, f), value in force.items() if value <= bound} <= set(
        zip(inside.segment.tolist(), inside.frame.tolist(), strict=True)
    )


def test_a_model_that_cannot_run_here_leaves_candidates_without_predictions(
    describe: Any,
    generate_segment: Callable[..., Any],
    divacancy_host: Atoms,
    generate_compiled_potential: Callable[..., Any],
) -> None:
    """As one compiled for a GPU, where the description runs on cores: it is said, and the round goes on."""
    from aiida import orm

    parameters = {"n_training": 4, "n_validation": 2, "n_max": 2, "l_max": 1, "cutoff": 3.0, "max_force": 30.0}
    node = describe(
        {"vv": {"s00": generate_segment(0)}},
        hosts={"vv": orm.StructureData(ase=divacancy_host)},
        potential=generate_compiled_potential(),
        parameters=orm.Dict(parameters),
    )
    assert np.isnan(node.candidates().max_force).all()
    assert "member_potential.nequip.pt2" in describe.report["not_predicted"]
