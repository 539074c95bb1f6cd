"""The fit of the Lennard-Jones prior: known coefficients come back, and the wall stands for every pair."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.data import atomic_numbers, covalent_radii
from ase.neighborlist import neighbor_list

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.statistics import min_distances
from aiida_sicmlip.science.training.lennard_jones import LennardJonesPrior
from aiida_sicmlip.science.training.lennard_jones_fit import (
    LennardJonesFit,
    LennardJonesSettings,
    fit_prior,
    fit_report,
)
from tests.dimers import dimer_curve

OFFSETS = np.array([-150.0, -110.0])


def known_prior() -> LennardJonesPrior:
    """Return a prior that the rules of the wall allow."""
    depth, sigma = np.array([[0.002, 0.6], [0.6, 0.05]]), np.array([[2.2, 1.7], [1.7, 2.3]])
    return LennardJonesPrior(("C", "Si"), 4 * depth * sigma**12, 4 * depth * sigma**6, OFFSETS, 5.0)


def labelled(atoms: Atoms, energy: float, forces: np.ndarray) -> Atoms:
    """Return ``atoms`` with a label."""
    atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
    return atoms


def carbide(seed: int, amplitude: float = 0.1) -> Atoms:
    """Return displaced 3C-SiC, in turns perfect, with a vacancy and with an antisite."""
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    atoms.rattle(amplitude, seed=seed)
    if seed % 3 == 1:
        del atoms[0]
    elif seed % 3 == 2:
        atoms.symbols[1] = "Si"
    return atoms


def exact_frames(seeds: range, prior: LennardJonesPrior) -> list[Atoms]:
    """Return frames whose labels are those of ``prior``."""
    frames = []
    for seed in seeds:
        atoms = carbide(seed)
        result = prior.evaluate(atoms)
        frames.append(labelled(atoms, result.energy, result.forces))
    return frames


def noise_frames(strength: float) -> list[Atoms]:
    """Return one composition with labels that no pair potential explains."""
    generator = np.random.default_rng(7)
    frames = []
    for seed in range(0, 12, 3):
        atoms = carbide(seed)
        energy = generator.normal(-1000.0, strength)
        frames.append(labelled(atoms, energy, generator.normal(0.0, strength, (len(atoms), 3))))
    return frames


def clinging_frames() -> list[Atoms]:
    """Return frames whose atoms attract each other the more the nearer they are: the opposite of a wall."""
    wrong = known_prior()
    frames = []
    for seed in range(6):
        atoms = carbide(seed)
        result = wrong.evaluate(atoms)
        frames.append(labelled(atoms, -result.energy, -result.forces))
    return frames


def test_known_coefficients_come_back() -> None:
    prior = known_prior()
    fit = fit_prior(exact_frames(range(8), prior))
    assert fit.prior.species == ("C", "Si")
    np.testing.assert_allclose(fit.prior.repulsion, prior.repulsion, rtol=1e-8)
    np.testing.assert_allclose(fit.prior.attraction, prior.attraction, rtol=1e-8)
    np.testing.assert_allclose(fit.prior.offsets, OFFSETS, rtol=1e-8)
    assert fit.residuals["after"]["energy_rmse"] < 1e-9
    assert fit.residuals["after"]["forces_rmse"] < 1e-9


@pytest.mark.parametrize(("energy_weight", "forces_weight"), [(1.0, 0.0), (0.0, 1.0), (10.0, 0.1)])
def test_energies_or_forces_alone_are_enough(energy_weight: float, forces_weight: float) -> None:
    prior = known_prior()
    settings = LennardJonesSettings(energy_weight=energy_weight, forces_weight=forces_weight)
    fit = fit_prior(exact_frames(range(20), prior), settings)
    np.testing.assert_allclose(fit.prior.attraction, prior.attraction, rtol=1e-5)


def test_the_residuals_are_errors_of_the_prior() -> None:
    frames = [*noise_frames(0.5), *exact_frames(range(1, 6), known_prior())]
    fit = fit_prior(frames)
    energy_errors, force_errors = [], []
    for frame in frames:
        result = fit.prior.evaluate(frame)
        energy_errors.append((frame.get_potential_energy() - result.energy) / len(frame))
        force_errors.append((frame.get_forces() - result.forces).reshape(-1))
    after = fit.residuals["after"]
    assert after["energy_rmse"] == pytest.approx(np.sqrt(np.mean(np.square(energy_errors))), rel=1e-8)
    assert after["forces_rmse"] == pytest.approx(np.sqrt(np.mean(np.concatenate(force_errors) ** 2)), rel=1e-8)
    before = np.concatenate([frame.get_forces().reshape(-1) for frame in frames])
    assert fit.residuals["before"]["forces_rmse"] == pytest.approx(np.sqrt(np.mean(before**2)), rel=1e-8)
    loss = {name: sum(error**2 for error in errors.values()) for name, errors in fit.residuals.items()}
    assert loss["after"] < 0.7 * loss["before"]


def test_no_change_of_a_coefficient_that_keeps_the_wall_fits_better() -> None:
    frames = [*noise_frames(0.5), *exact_frames(range(1, 6), known_prior())]
    settings = LennardJonesSettings(energy_weight=2.0, forces_weight=0.5)
    fit = fit_prior(frames, settings)

    def loss(prior: LennardJonesPrior) -> float:
        results = [prior.evaluate(frame) for frame in frames]
        energies = [
            (frame.get_potential_energy() - result.energy) / len(frame)
            for frame, result in zip(frames, results, strict=True)
        ]
        forces = np.concatenate(
            [(frame.get_forces() - result.forces) for frame, result in zip(frames, results, strict=True)]
        )
        return 2.0 * float(np.mean(np.square(energies))) + 0.5 * float(np.mean(forces**2))

    least, tried = loss(fit.prior), 0
    for i, j in combinations_with_replacement(range(2), 2):
        for grow_repulsion, grow_attraction in [(1e-3, 0.0), (1e-3, 1e-3), (0.0, -1e-3)]:
            repulsion, attraction = fit.prior.repulsion.copy(), fit.prior.attraction.copy()
            repulsion[i, j] = repulsion[j, i] = repulsion[i, j] * (1 + grow_repulsion)
            attraction[i, j] = attraction[j, i] = attraction[i, j] * (1 + grow_attraction)
            bond = covalent_radii[[6, 14]][[i, j]].sum()
            if repulsion[i, j] / bond**12 - attraction[i, j] / bond**6 > settings.bond_energy:
                continue
            changed = LennardJonesPrior(fit.prior.species, repulsion, attraction, fit.prior.offsets, 5.0)
            assert loss(changed) >= least - 1e-12
            tried += 1
    assert tried >= 6


WALL_CASES: dict[str, Callable[[], list[Atoms]]] = {
    "exact": lambda: exact_frames(range(6), known_prior()),
    "one composition, noise": lambda: noise_frames(3.0),
    "no forces at all": lambda: noise_frames(0.0),
    "attraction only": clinging_frames,
}


@pytest.fixture(scope="module", params=list(WALL_CASES))
def walled(request: pytest.FixtureRequest) -> tuple[list[Atoms], LennardJonesFit]:
    """Frames of Si and C, and the prior of these and of hydrogen, of which the frames hold none."""
    frames = WALL_CASES[request.param]()
    return frames, fit_prior(frames, species=["Si", "C", "H"])


@pytest.mark.parametrize("pair", ["C-C", "C-Si", "Si-Si", "C-H", "H-H", "H-Si"])
def test_every_pair_is_repulsive_below_its_wall(walled: tuple[list[Atoms], LennardJonesFit], pair: str) -> None:
    frames, fit = walled
    first, second = pair.split("-")
    bond = covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
    near = near_distances(frames).get(pair, bond)
    distances = np.linspace(0.3, 0.7 * max(bond, near), 400)
    energies, slopes = dimer_curve(fit.prior, first, second, distances)
    assert np.all(slopes < 0)
    assert np.all(energies > 0)
    # The envelope takes a little of the 5 eV away.
    assert dimer_curve(fit.prior, first, second, [0.7 * bond])[0][0] > 4.8
    assert dimer_curve(fit.prior, first, second, [0.49 * bond])[0][0] > 300
    described = fit.pairs[pair]
    if "H" in pair:
        assert described == {"near_distance": None, "wall_distance": None}
    else:
        assert described["near_distance"] == pytest.approx(near)
        assert described["wall_distance"] == pytest.approx(0.7 * max(bond, near))


def test_second_neighbours_do_not_forbid_bonds() -> None:
    """A hard wall seen at 2.8 A, carried inwards as r^-12, would cost hundreds of eV at a bond of carbon."""
    hard = known_prior()
    repulsion = hard.repulsion.copy()
    repulsion[0, 0] = 0.3 * 2.8**12
    prior = LennardJonesPrior(hard.species, repulsion, hard.attraction, OFFSETS, 5.0)
    frames = exact_frames(range(0, 9, 3), prior)
    assert min_distances(frames)["C-C"] > 2.5
    bond = 2 * covalent_radii[6]
    assert dimer_curve(prior, "C", "C", [bond])[0][0] > 100
    for limit in (1.0, 4.0):
        fitted = fit_prior(frames, LennardJonesSettings(bond_energy=limit)).prior
        energy = dimer_curve(fitted, "C", "C", [bond])[0][0]
        assert 0.9 * limit < energy <= limit
    unbound = fit_prior(frames, LennardJonesSettings(bond_energy=1e6)).prior
    assert unbound.repulsion[0, 0] == pytest.approx(prior.repulsion[0, 0], rel=1e-6)


def test_walls_alone_hardly_act_at_bonds() -> None:
    frames = exact_frames(range(6), known_prior())
    fit = fit_prior(frames, LennardJonesSettings(wall_only=True, wall_energy=4.0), species=["Si", "C", "H"])
    assert not fit.prior.attraction.any()
    for first, second in combinations_with_replacement(["Si", "C", "H"], 2):
        bond = covalent_radii[atomic_numbers[first]] + covalent_radii[atomic_numbers[second]]
        i, j = fit.prior.species.index(first), fit.prior.species.index(second)
        assert fit.prior.repulsion[i, j] / (0.7 * bond) ** 12 == pytest.approx(4.0)
        energies, slopes = dimer_curve(fit.prior, first, second, np.linspace(0.3, 4.9, 200))
        assert np.all(energies > 0) and np.all(slopes < 0)
        assert dimer_curve(fit.prior, first, second, [bond])[0][0] < 0.06
    # What the fit would explain is left to the network: here, where the labels are those of a prior, nearly all.
    before, after = fit.residuals["before"]["forces_rmse"], fit.residuals["after"]["forces_rmse"]
    assert after == pytest.approx(before, rel=0.2)
    assert fit_prior(frames).residuals["after"]["forces_rmse"] < 1e-6 * before


def near_distances(frames: list[Atoms]) -> dict[str, float]:
    """Return the distance of one in a hundred nearest neighbours by pair of elements, computed with ASE."""
    found: dict[str, list[float]] = {}
    for frame in frames:
        symbols = frame.get_chemical_symbols()
        first, second, lengths = neighbor_list("ijd", frame, 5.0)
        for element in set(symbols):
            for atom, symbol in enumerate(symbols):
                other = (first == atom) & (np.array(symbols)[second] == element)
                if other.any():
                    found.setdefault("-".join(sorted((symbol, element))), []).append(lengths[other].min())
    return {pair: float(np.quantile(distances, 0.01)) for pair, distances in found.items()}


def collapsed(pair: tuple[str, str], distance: float, seed: int = 0) -> Atoms:
    """Return displaced 3C-SiC with two atoms pushed together; forces of 40 eV/A, far below those of r^-12 there."""
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    atoms.rattle(0.1, seed=seed)
    first = atoms.symbols.search(pair[0])[0]
    second = min(
        (index for index in atoms.symbols.search(pair[1]) if index != first),
        key=lambda index: atoms.get_distance(first, index, mic=True),
    )
    atoms.set_distance(first, second, distance, fix=0, mic=True)
    forces = np.zeros((len(atoms), 3))
    forces[[first, second]] = [[-40.0, 0.0, 0.0], [40.0, 0.0, 0.0]]
    return labelled(atoms, -1000.0, forces)


@pytest.mark.parametrize("settings", [{}, {"wall_only": True}], ids=["fitted", "walls alone"])
@pytest.mark.parametrize(("pair", "distance"), [(("Si", "C"), 1.0), (("Si", "C"), 1.35), (("C", "C"), 0.9)])
def test_a_collapsed_frame_does_not_lower_the_walls(
    settings: dict[str, Any], pair: tuple[str, str], distance: float
) -> None:
    clean = exact_frames(range(20), known_prior())
    parameters = LennardJonesSettings(**settings)
    before, after = fit_prior(clean, parameters), fit_prior([*clean, collapsed(pair, distance)], parameters)
    assert (after.n_frames, after.n_left_out) == (20, 1)
    for first, second in combinations_with_replacement(["Si", "C"], 2):
        at = [0.8, 1.0, 1.2, 1.5]
        expected = dimer_curve(before.prior, first, second, at)[0]
        np.testing.assert_allclose(dimer_curve(after.prior, first, second, at)[0], expected, rtol=0.02)
    # A wall that no fit can lower: 5 or 10 eV at 0.7 of the sum of the covalent radii, 1.31 A, rise as r^-12.
    assert dimer_curve(after.prior, "Si", "C", [1.0])[0][0] > (240 if settings else 120)


def test_only_collapsed_frames_leave_the_walls() -> None:
    fit = fit_prior([collapsed(("Si", "C"), 1.0, seed) for seed in range(3)])
    assert (fit.n_frames, fit.n_left_out) == (0, 3)
    assert not fit.prior.attraction.any()
    bond = covalent_radii[[6, 14]].sum()
    assert dimer_curve(fit.prior, "Si", "C", [0.7 * bond])[0][0] == pytest.approx(5.0, rel=0.05)


def test_one_composition_leaves_offsets_well_posed() -> None:
    prior = known_prior()
    fit = fit_prior(exact_frames(range(0, 12, 3), prior))
    np.testing.assert_allclose(fit.prior.attraction, prior.attraction, rtol=1e-6)
    np.testing.assert_allclose(fit.prior.offsets, [-130.0, -130.0], rtol=1e-8)


def test_one_frame_of_a_perfect_crystal_gives_a_prior() -> None:
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    fit = fit_prior([labelled(atoms, -1040.0, np.zeros((8, 3)))])
    assert fit.residuals["after"]["energy_rmse"] == pytest.approx(0.0, abs=1e-8)
    assert fit.residuals["after"]["forces_rmse"] == pytest.approx(0.0, abs=1e-8)
    assert np.all(dimer_curve(fit.prior, "Si", "C", np.linspace(0.5, 1.3))[1] < 0)


def test_frames_turned_shifted_and_in_another_order_give_the_same_prior() -> None:
    frames = [*noise_frames(1.0), *exact_frames(range(1, 5), known_prior())]
    expected = fit_prior(frames).prior
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))[0]
    changed = []
    for number, frame in enumerate(reversed(frames)):
        order = np.random.default_rng(number).permutation(len(frame))
        atoms = Atoms(frame.symbols, frame.positions @ rotation + [1.0, 2.0, 3.0], cell=frame.cell @ rotation, pbc=True)
        changed.append(labelled(atoms[order], frame.get_potential_energy(), (frame.get_forces() @ rotation)[order]))
    found = fit_prior(changed).prior
    np.testing.assert_allclose(found.repulsion, expected.repulsion, rtol=1e-6)
    np.testing.assert_allclose(found.attraction, expected.attraction, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.offsets, expected.offsets, rtol=1e-9)


def test_the_order_of_the_species_is_that_of_the_prior() -> None:
    frames = exact_frames(range(6), known_prior())
    there, back = (fit_prior(frames, species=order).prior for order in (["C", "Si"], ["Si", "C"]))
    assert back.species == ("Si", "C")
    np.testing.assert_allclose(back.repulsion, there.repulsion[::-1, ::-1], rtol=1e-8)
    np.testing.assert_allclose(back.offsets, there.offsets[::-1], rtol=1e-10)


def test_the_report_holds_the_prior() -> None:
    fit = fit_prior(exact_frames(range(3), known_prior()))
    report = fit_report(fit)
    np.testing.assert_array_equal(LennardJonesPrior.from_dict(report).repulsion, fit.prior.repulsion)
    assert set(report["residuals"]) == {"before", "after"} and set(report["pairs"]) == {"C-C", "C-Si", "Si-Si"}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"cutof": 5.0}, "`prior.cutof` is not a known setting.*`cutoff`"),
        ({"cutoff": 0}, "`prior.cutoff`"),
        ({"energy_weight": -1.0}, "`prior.energy_weight`"),
        ({"energy_weight": 0, "forces_weight": 0}, "both 0"),
        ({"wall_energy": 100.0}, "`prior.bond_energy` is 1.0"),
        ({"wall_only": 1}, "`prior.wall_only` is 1; give true or false"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        LennardJonesSettings.from_mapping(settings)


def test_data_that_cannot_be_used_are_refused() -> None:
    frames = exact_frames(range(2), known_prior())
    with pytest.raises(InputError, match="no frames"):
        fit_prior([])
    with pytest.raises(InputError, match="Si, but `species`"):
        fit_prior(frames, species=["C", "H"])
    with pytest.raises(InputError, match=r"`prior.cutoff` is 2.0 A.*2\.22"):
        fit_prior(frames, LennardJonesSettings(cutoff=2.0))
    with pytest.raises(InputError, match="energy"):
        fit_prior([carbide(0)])
