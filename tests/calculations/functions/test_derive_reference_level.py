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
    assert dataset.level_of_theory == level.get_dict()
    assert (dataset.charge, dataset.spin) == (0.0, None)
    for read, frame in zip(dataset.frames(), frames, strict=True):
        assert read.get_potential_energy() == frame.get_potential_energy()
        assert np.array_equal(read.get_forces(), frame.get_forces())


def test_another_potential_is_another_level(
    edip: Any, tersoff: Any, generate_code: Callable[..., Any], frames: list[Atoms]
) -> None:
    label = reference_label(frames[0], tersoff, generate_code("sicmlip.training"))
    with pytest.raises(InputError, match=r"`functional` is 'TERSOFF' there and 'EDIP/MULTI' here"):
        extend_dataset(derive_reference_level(edip), label_000000=label)


def test_labels_from_first_principles_are_not_mixed_in(
    edip: Any,
    generate_code: Callable[..., Any],
    generate_label: Callable[..., Any],
    level_of: Callable[[Any], Any],
    frames: list[Atoms],
) -> None:
    label = reference_label(frames[0], edip, generate_code("sicmlip.training"))
    first_principles = generate_label(frames[1])
    previous = extend_dataset(level_of(first_principles), label_000000=first_principles)
    with pytest.raises(InputError) as caught:
        extend_dataset(derive_reference_level(edip), previous=previous, label_000001=label)
    sentence = str(caught.value)
    assert sentence.startswith(f"data set <{previous.pk}> was labelled by first principles (PBE)")
    assert "by a classical potential (EDIP/MULTI)" in sentence
    assert "no potential fits both" in sentence
    with pytest.raises(InputError, match=r"label `label_000001` <\d+> was labelled by a classical potential"):
        extend_dataset(level_of(first_principles), previous=previous, label_000001=label)
