"""The level of theory of labels by a reference potential, and data sets that refuse to mix it with another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms

from aiida_sicmlip.calculations.functions.derive_reference_level import derive_reference_level
from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.common.lammps_files import find_potential_file
from aiida_sicmlip.data.classical_potential import classical_potential
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.labels.states import LabelState, require_one_surface
from tests.graphs.reference_labels import reference_label


@pytest.fixture
def tersoff(aiida_profile: Any) -> Any:
    """Tersoff's potential for silicon carbide."""
    return classical_potential(find_potential_file("SiC.tersoff"), "tersoff", ["Si", "C"]).store()


@pytest.fixture
def frames(labelled_frames: Callable[..., list[Atoms]]) -> list[Atoms]:
    return labelled_frames(2)


def test_level_is_pair_style_and_content(edip: Any, tersoff: Any, tmp_path: Path) -> None:
    level = derive_reference_level(edip)
    assert isinstance(level, LevelOfTheoryData)
    assert level.creator.inputs.potential.uuid == edip.uuid
    assert (level["program"], level["functional"]) == ("lammps", "EDIP/MULTI")
    assert level["settings"] == {"potential_md5": edip.md5}
    content = find_potential_file("SiC.edip").read_bytes()
    (tmp_path / "other-name.edip").write_bytes(content)
    renamed = classical_potential(tmp_path / "other-name.edip", "edip/multi", ["C", "Si"]).store()
    assert level.differences(derive_reference_level(renamed)) == []
    (tmp_path / "changed.edip").write_bytes(content + b"\n")
    changed = classical_potential(tmp_path / "changed.edip", "edip/multi", ["Si", "C"]).store()
    assert level.differences(derive_reference_level(changed)) == [("potential_md5", edip.md5, changed.md5)]
    found = {name: (a, b) for name, a, b in level.differences(derive_reference_level(tersoff))}
    assert found["functional"] == ("EDIP/MULTI", "TERSOFF")


def test_labels_make_a_data_set(edip: Any, generate_code: Callable[..., Any], frames: list[Atoms]) -> None:
    code = generate_code("sicmlip.training")
    labels = {f"label_{place:06d}": reference_label(frame, edip, code) for place, frame in enumerate(frames)}
    level = derive_reference_level(edip)
    dataset = extend_dataset(level, **labels)
    assert dataset.levels_of_theory == [level.get_dict()]
    # A classical potential knows no electrons: neither a neutral cell nor a singlet.
    assert dataset.state_counts == {LabelState(None, None, 0): len(frames)}
    for read, frame in zip(dataset.frames(), frames, strict=True):
        assert read.get_potential_energy() == frame.get_potential_energy()
        assert np.array_equal(read.get_forces(), frame.get_forces())


def test_another_potential_is_another_level(
    edip: Any, tersoff: Any, generate_code: Callable[..., Any], frames: list[Atoms]
) -> None:
    label = reference_label(frames[0], tersoff, generate_code("sicmlip.training"))
    with pytest.raises(InputError, match=r"`functional` is 'TERSOFF' there and 'EDIP/MULTI' here"):
        extend_dataset(derive_reference_level(edip), label_000000=label)


def test_labels_from_first_principles_beside_those_of_a_potential(
    edip: Any,
    generate_code: Callable[..., Any],
    generate_label: Callable[..., Any],
    level_of: Callable[[Any], Any],
    frames: list[Atoms],
) -> None:
    label = reference_label(frames[0], edip, generate_code("sicmlip.training"))
    first_principles = generate_label(frames[1])
    previous = extend_dataset(level_of(first_principles), label_000000=first_principles)
    mixed = extend_dataset(derive_reference_level(edip), previous=previous, label_000001=label)
    assert mixed.states() == [LabelState(0, 2, 0), LabelState(None, None, 1)]
    with pytest.raises(InputError) as caught:
        require_one_surface({"the set": mixed.surfaces}, "a training")
    message = str(caught.value)
    assert "energies and forces are from first principles (PBE) for 1 configuration of the set" in message
    assert "from a classical potential (EDIP/MULTI) for 1 configuration of the set, which have different" in message
    with pytest.raises(InputError, match=r"label `label_000001` <\d+> was computed at another level of theory"):
        extend_dataset(level_of(first_principles), previous=previous, label_000001=label)
