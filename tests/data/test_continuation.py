"""States from which runs go on, as nodes."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida.common.exceptions import ValidationError

from aiida_sicmlip.data.continuation import ContinuationData


def test_files_and_step_are_kept(aiida_profile: object, tmp_path: Path) -> None:
    restart, state = tmp_path / "exploration.restart.500", tmp_path / "bck.last.STATE"
    restart.write_bytes(b"LAMMPS")
    state.write_bytes(b"PLUMED")
    free = ContinuationData.from_files(500, restart).store()
    biased = ContinuationData.from_files(500, restart, state).store()
    assert (free.step, free.biased, biased.biased) == (500, False, True)
    assert biased.base.repository.get_object_content("STATE") == "PLUMED"
    assert biased.base.repository.get_object_content("exploration.restart") == "LAMMPS"


def test_incomplete_states_are_not_stored(aiida_profile: object, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="`step` is missing"):
        ContinuationData().store()
    node = ContinuationData()
    node.base.attributes.set("step", 10)
    with pytest.raises(ValidationError, match="the restart file of LAMMPS"):
        node.store()
