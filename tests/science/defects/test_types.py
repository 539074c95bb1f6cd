"""Names of the defects that frames show."""

from __future__ import annotations

import numpy as np
import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.types import count_defect_types, defect_type
from tests.crystals import silicon_carbide_host


@pytest.fixture(scope="module")
def host():
    """3C-SiC, 64 sites."""
    return silicon_carbide_host(repeats=(2, 2, 2), cell="conventional")


def of(host, species):
    """Return the indices of the atoms of a species."""
    return np.flatnonzero(host.symbols == species)


def made(host, leave_out=(), replace=()):
    """Return a crystal without some atoms, with others replaced, all a little displaced."""
    frame = host.copy()
    for atom in replace:
        frame.symbols[atom] = "C" if frame.symbols[atom] == "Si" else "Si"
    del frame[list(leave_out)]
    frame.positions += np.random.default_rng(1).normal(0, 0.05, frame.positions.shape)
    return frame


def test_names_count_kinds(host):
    carbon, silicon = of(host, "C"), of(host, "Si")
    assert defect_type(made(host), host) == "none"
    assert defect_type(made(host, [carbon[0]]), host) == "V_C"
    assert defect_type(made(host, [carbon[0], carbon[5], silicon[3]]), host) == "2 V_C + V_Si"
    assert defect_type(made(host, [carbon[0]], [silicon[3]]), host) == "C_Si + V_C"


def test_interstitial_beside_its_vacancy(host):
    frame = made(host, [of(host, "C")[0]])
    # The centre of an empty tetrahedron of 3C-SiC, half a cell from a silicon site.
    hole = host.positions[of(host, "Si")[0]] + np.array([4.416 / 2, 0, 0])
    assert min(np.linalg.norm(host.positions - hole, axis=1)) > 1.8
    carbon = host[[of(host, "C")[0]]]
    carbon.positions = [hole]
    assert defect_type(frame + carbon, host) == "C_i + V_C"


def test_type_does_not_depend_on_place_order_or_drift(host):
    first, second = made(host, [of(host, "C")[0]]), made(host, [of(host, "C")[17]])
    second = second[np.random.default_rng(2).permutation(len(second))]
    second.positions += 0.4
    second.wrap()
    assert defect_type(first, host) == defect_type(second, host) == "V_C"


def test_frames_of_several_hosts_are_counted(host, divacancy, divacancy_host):
    frames = [made(host, [0]), divacancy, divacancy, made(host)]
    molten = host.copy()
    molten.positions = np.random.default_rng(3).uniform(0, 8.8, molten.positions.shape)
    strange = host.copy()
    strange.set_cell(strange.cell * 1.5, scale_atoms=True)
    counts = count_defect_types([*frames, molten, strange], {"small": divacancy_host, "large": host})
    vacancy = f"V_{host.symbols[0]}"
    assert counts == {vacancy: 1, "V_C + V_Si": 2, "none": 1, "unassigned": 2}


def test_no_host_is_a_message(divacancy):
    with pytest.raises(InputError, match="give `hosts`"):
        count_defect_types([divacancy], {})
