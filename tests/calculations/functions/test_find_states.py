"""States in trajectories as structures: their labels say which frame they are, and walkers can start from them."""

from __future__ import annotations

import numpy as np
import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.find_states import find_states
from aiida_sicmlip.data.trajectory import SegmentTrajectoryData
from tests.engine.programs.test_cv import write_dcd
from tests.science.defects.test_states import ANTISITE, DIVACANCY, HOST, SEPARATED, SPECIES, START, trajectory


@pytest.fixture
def segment(aiida_profile, tmp_path):
    """Makes stored segments of positions (F, 214, 3), with a frame each 0.1 ps."""

    def make(positions: np.ndarray, name: str = "run") -> SegmentTrajectoryData:
        frames = []
        for frame in positions:
            atoms = DIVACANCY.atoms.copy()
            atoms.positions = frame
            frames.append(atoms)
        write_dcd(tmp_path / f"{name}.dcd", frames)
        node = SegmentTrajectoryData(
            tmp_path / f"{name}.dcd",
            filename="trajectory.dcd",
            symbols=SPECIES,
            cell=DIVACANCY.atoms.cell.array,
            n_frames=len(frames),
            steps_between_frames=100,
        )
        return node.store()

    return make


def test_states_of_two_trajectories(segment):
    trajectories = {
        "s03": segment(trajectory((START, 10), (ANTISITE, 12)), "first"),
        "s07": segment(trajectory((START, 4), (SEPARATED, 9), (ANTISITE, 4)), "second"),
        # Nothing of it can be told: it is molten.
        "s08": segment(np.random.default_rng(1).uniform(0, 13, (3, len(SPECIES), 3)), "molten"),
    }
    kept = orm.ArrayData()
    kept.set_array("kept", np.array([0, 5, 6, 14, 21]))
    found = find_states(
        start=orm.StructureData(ase=DIVACANCY.atoms),
        host=orm.StructureData(ase=HOST),
        parameters=orm.Dict({"count": 3, "shortest_visit": 0.5}),
        trajectories=trajectories,
        filters={"s03": kept},
    )
    summary = found["summary"].get_dict()
    assert [(state["name"], state["longest"], state["total"]) for state in summary["states"]] == [
        ("C_Si + 2 V_C", pytest.approx(1.2), pytest.approx(1.2)),
        ("V_C + V_Si", pytest.approx(0.9), pytest.approx(0.9)),
    ]
    assert list(summary["not_followed"]) == ["s08"]
    ((label, structure),) = found["state_01"].items()
    assert label == "frame_s03_000014" and structure.label == "C_Si + 2 V_C"
    link = structure.base.links.get_incoming().one()
    assert link.link_label == "state_01__frame_s03_000014" and link.node.process_label == "find_states"
    expected = trajectories["s03"].frames([14])[0]
    assert np.allclose(structure.get_ase().positions, expected.positions)
    assert structure.get_ase().get_chemical_symbols() == SPECIES
    assert list(found["state_02"]) == ["frame_s07_000008"]
