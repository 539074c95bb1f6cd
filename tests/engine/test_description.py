"""Descriptions of frames: whose atoms are averaged over, in which order frames come out, and what that finds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.geometry import find_mic

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.engine.description import (
    Describer,
    Progress,
    RowFile,
    chunks_of_frames,
    chunks_of_segments,
    describe_chunks,
)
from aiida_sicmlip.science.defects.building import build_defects
from aiida_sicmlip.science.defects.hops import find_defect_sites
from aiida_sicmlip.science.dynamics.segments import SegmentFile
from aiida_sicmlip.science.selection.descriptors import averaged_soap
from aiida_sicmlip.science.selection.farthest_point import choose_frames, distance_to_set
from aiida_sicmlip.science.selection.settings import SelectionSettings
from tests.crystals import silicon_carbide_host

SMALL = {"cutoff": 4.0, "n_max": 3, "l_max": 2}
DIVACANCY = [{"kind": "divacancy"}]
ANTISITE = {"kind": "antisite", "on": "Si", "species": "C"}


@pytest.fixture(scope="module")
def host() -> Atoms:
    return silicon_carbide_host(repeats=(3, 3, 3))


def thermal(atoms: Atoms, generator: np.random.Generator, width: float = 0.1) -> Atoms:
    atoms.positions += generator.normal(0, width, atoms.positions.shape)
    return atoms


def divacancy(host: Atoms, seed: int) -> Atoms:
    return build_defects(host, DIVACANCY, seed).atoms


def halfway(host: Atoms, seed: int) -> Atoms:
    """A divacancy with one of the atoms beside its first vacant site on the way into it."""
    built = build_defects(host, DIVACANCY, seed)
    ways, lengths = find_mic(
        np.array(built.sites[0]["position"]) - built.atoms.positions, built.atoms.cell, built.atoms.pbc
    )
    atom = next(i for i in np.argsort(lengths) if built.atoms.symbols[i] == built.sites[0]["species"])
    built.atoms.positions[atom] += 0.5 * ways[atom]
    return built.atoms


def interstitial(host: Atoms, seed: int) -> Atoms:
    """A divacancy, and far from it an atom that has left its site for the hole beside it."""
    atoms = divacancy(host, seed)
    found = find_defect_sites(atoms, host)
    _, distances = find_mic(atoms.positions - np.array(found.sites[0]["position"]), atoms.cell, atoms.pbc)
    atom = int(np.argmax(distances))
    atoms.positions[atom] += 0.5 * 4.416 * np.array([1.0, 1.0, 1.0]) / 3**0.5 * 1.2
    return atoms


def test_defect_averages_over_the_atoms_around_it(host: Atoms) -> None:
    """The descriptor is DScribe's average over the atoms on sites within two shells of the vacant ones."""
    atoms = thermal(divacancy(host, 3), np.random.default_rng(1))
    found = find_defect_sites(atoms, host)
    vacant = [site["site"] for site in found.sites]
    _, distances = zip(
        *(find_mic(host.positions - host.positions[site], host.cell, host.pbc) for site in vacant), strict=True
    )
    near = np.flatnonzero(np.min(distances, axis=0) < 3.4)
    centres = [int(atom) for atom in np.flatnonzero(np.isin(found.site_of_atom, near))]
    assert len(centres) == 24
    describer = Describer(SelectionSettings(**SMALL), ["C", "Si"], {"vv": host})
    expected = averaged_soap([atoms], ["C", "Si"], centres=[centres], r_cut=4.0, n_max=3, l_max=2, sigma=0.5)
    assert np.allclose(describer.describe([atoms], "vv"), expected, atol=1e-6)
    assert np.allclose(describer.describe([atoms]), expected, atol=1e-6)


def test_fixed_list_of_atoms(host: Atoms) -> None:
    atoms = thermal(divacancy(host, 3), np.random.default_rng(1))
    describer = Describer(SelectionSettings(**SMALL, centres=[3, 5, 8]), ["C", "Si"])
    expected = averaged_soap([atoms] * 2, ["C", "Si"], centres=[3, 5, 8], r_cut=4.0, n_max=3, l_max=2, sigma=0.5)
    assert np.allclose(describer.describe([atoms, atoms]), expected, atol=1e-6)


def test_frame_that_fits_no_host_is_refused(host: Atoms) -> None:
    describer = Describer(SelectionSettings(**SMALL), ["C", "Si"], {"large": host})
    with pytest.raises(InputError, match=r"A frame of C7Si7 fits none of the 1 perfect crystals"):
        describer.describe([divacancy(silicon_carbide_host(repeats=(2, 2, 2), cell="primitive"), 1)])


def test_frames_of_several_structures_at_once(host: Atoms) -> None:
    """Labelled frames of one set have other cells and other numbers of atoms; each finds its host."""
    small = silicon_carbide_host(repeats=(2, 2, 2))
    describer = Describer(SelectionSettings(**SMALL), ["C", "Si"], {"small": small, "large": host})
    frames = [divacancy(host, 1), divacancy(small, 1), divacancy(small, 2), divacancy(host, 4)]
    together = describer.describe(frames)
    for row, frame in zip(together, frames, strict=True):
        assert np.allclose(row, describer.describe([frame])[0], atol=1e-6)


@pytest.mark.parametrize("processes", [1, 2])
def test_order_and_overlaps(processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames come out as they went in, and those with overlapping atoms are marked, on any number of processes."""
    monkeypatch.setattr("aiida_sicmlip.engine.description.CHUNK", 3)
    host = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
    generator = np.random.default_rng(2)
    frames = [thermal(divacancy(host, seed), generator) for seed in range(10)]
    frames[4].positions[1] = frames[4].positions[0] + 0.1
    describer = Describer(SelectionSettings(**SMALL, centres="all"), ["C", "Si"])
    told: list[int] = []
    found = list(describe_chunks(describer, chunks_of_frames(iter(frames)), processes, told.append))
    assert [len(part.rows) for part in found] == [3, 3, 3, 1] and told == [3, 6, 9, 10]
    rows, overlapping = (np.concatenate([getattr(part, name) for part in found]) for name in ("rows", "overlapping"))
    assert np.array_equal(rows, describer.describe(frames)) and rows.dtype == np.float32
    assert np.flatnonzero(overlapping).tolist() == [4]


def test_error_of_a_process_is_told(host: Atoms) -> None:
    describer = Describer(SelectionSettings(**SMALL, centres="all"), ["Si"])
    with pytest.raises(InputError, match="Frame 0 holds C"):
        list(describe_chunks(describer, chunks_of_frames([divacancy(host, 1)]), 2))


def test_segments_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiida_sicmlip.engine.description.CHUNK", 12)
    host = silicon_carbide_host(repeats=(2, 2, 2), cell="primitive")
    atoms = divacancy(host, 1)
    segments = [
        SegmentFile(
            path=Path(__file__).parents[1] / "fixtures" / "edip-14" / f"{number}.dcd",
            symbols=tuple(atoms.get_chemical_symbols()),
            cell=tuple(map(tuple, host.cell.array.tolist())),
            n_frames=30 - 5 * number,
            segment=number,
            structure="vv",
            trajectory=number,
            first_time=0.0,
            interval=0.04,
        )
        for number in range(2)
    ]
    assert [len(chunk) for chunk in chunks_of_segments(segments)] == [12, 12, 6, 12, 12, 1]
    frames = [frame for chunk in chunks_of_segments(segments) for frame in chunk.read()]
    assert np.array_equal(frames[35].positions, segments[1].frames([5])[0].positions)
    assert segments[0].times()[-1] == pytest.approx(1.16)


def test_rows_lie_in_a_file(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).random((7, 4)).astype(np.float32)
    file = RowFile(tmp_path / "rows", 4)
    file.append(rows[:3])
    file.append(rows[3:])
    found = file.read()
    assert isinstance(found, np.memmap) and np.array_equal(found, rows)
    assert RowFile(tmp_path / "none", 4).read().shape == (0, 4)


def test_progress_says_how_far(capsys: Any) -> None:
    progress = Progress(200, seconds=0.0)
    progress(50)
    progress(200)
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("described 50 of 200 frames (25 %), about ") and first.endswith("ms a frame")
    assert last.startswith("described 200 of 200 frames (100 %), ") and "more" not in last
    Progress(None, seconds=1000.0)(3)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("seed", range(3))
def test_frames_whose_defect_differs_are_found_first(host: Atoms, seed: int, record_property: Any) -> None:
    """Planted among forty divacancies, alike but for their heat: a hop on its way, an interstitial, an antisite.

    Averaged over the atoms around the defect they come first, in any order, and each is several times farther from the
    training set than any ordinary frame. Averaged over all atoms, the hop drowns in the heat of the bulk. Both are
    recorded, and are in the documentation.
    """
    generator = np.random.default_rng(seed)
    training = [thermal(divacancy(host, number), generator) for number in range(10)]
    planted = [
        halfway(host, 50 + seed),
        interstitial(host, 70 + seed),
        build_defects(host, [*DIVACANCY, ANTISITE], seed).atoms,
    ]
    pool = [thermal(divacancy(host, number), generator) for number in range(40)]
    pool += [thermal(atoms, generator) for atoms in planted]
    ranks, contrast = {}, {}
    for centres in ("defect", "all"):
        describer = Describer(SelectionSettings(centres=centres), ["C", "Si"], {"vv": host})
        rows = describer.describe(pool)
        nearest = distance_to_set(rows, describer.describe(training))
        picks = choose_frames("farthest-point", rows, nearest, len(pool))
        order = [pick.index for pick in picks]
        ranks[centres] = [order.index(row) for row in range(40, 43)]
        distance = {pick.index: pick.reference_distance for pick in picks}
        ordinary = max(distance[row] for row in range(40))
        contrast[centres] = [round(distance[row] / ordinary, 1) for row in range(40, 43)]
    record_property("ranks", ranks)
    record_property("contrast", contrast)
    assert sorted(ranks["defect"]) == [0, 1, 2]
    assert min(contrast["defect"]) > 4.0
    assert contrast["defect"][0] > 3.0 * contrast["all"][0]
