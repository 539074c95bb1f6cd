"""Imported data sets: as in the file, at the level that is stated."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiida import orm

from aiida_sicmlip.calculations.functions.extend_dataset import extend_dataset
from aiida_sicmlip.calculations.functions.import_dataset import import_dataset
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.data.level_of_theory import LevelOfTheoryData
from aiida_sicmlip.science.labels.exchange_formats import format_of_file, write_exchanged_frames
from aiida_sicmlip.science.labels.states import LabelState
from tests.conftest import LEVEL_OF_THEORY


@pytest.fixture
def level(aiida_profile) -> LevelOfTheoryData:
    return LevelOfTheoryData(LEVEL_OF_THEORY).store()


def written(path: Path, frames) -> orm.SinglefileData:
    write_exchanged_frames(path, frames, [{} for _ in frames], format_of_file(path.name))
    return orm.SinglefileData(path).store()


@pytest.mark.parametrize("name", ["set.xyz", "set.db"])
def test_content_is_that_of_the_file(generate_dataset, labelled_frames, level, tmp_path, name) -> None:
    frames = labelled_frames(3)
    frames[1].info.update(charge=-1, spin=1)
    file = written(tmp_path / name, frames)
    dataset = import_dataset(file, level)
    expected = generate_dataset(frames)
    assert dataset.get_content(mode="rb") == expected.get_content(mode="rb")
    assert dataset.base.caching.compute_hash() == expected.base.caching.compute_hash()
    assert dataset.state_counts == {LabelState(0, 2, 0): 2, LabelState(-1, 1, 0): 1}
    assert set(dataset.creator.inputs) == {"file", "level_of_theory"}


def test_names_of_the_labels_are_an_input(labelled_frames, level, tmp_path) -> None:
    path = tmp_path / "set.xyz"
    write_exchanged_frames(path, labelled_frames(2), [{}, {}], "extxyz")
    path.write_text(path.read_text().replace("energy=", "REF_energy=").replace(":forces:", ":REF_forces:"))
    names = orm.Dict({"energy": "REF_energy", "forces": "REF_forces"})
    dataset = import_dataset(orm.SinglefileData(path), level, names)
    assert [f.get_potential_energy() for f in dataset.frames()] == [
        f.get_potential_energy() for f in labelled_frames(2)
    ]
    with pytest.raises(InputError, match=r"frame 0 of `set.xyz` has no `energy`"):
        import_dataset(orm.SinglefileData(path), level)


def test_element_without_a_pseudopotential_is_refused(labelled_frames, level, tmp_path) -> None:
    frames = labelled_frames(3)
    frames[1].symbols[0] = "N"
    frames[1].calc.atoms = frames[1].copy()
    file = written(tmp_path / "set.xyz", frames)
    with pytest.raises(InputError, match=r"frame 1 of `set.xyz` holds N, for which `pseudopotentials` .* names C, Si"):
        import_dataset(file, level)


def test_import_can_be_extended_by_labels_of_the_same_level(
    generate_label, level_of, labelled_frames, tmp_path
) -> None:
    frames = labelled_frames(4)
    label = generate_label(frames[3])
    level = level_of(label)
    imported = import_dataset(written(tmp_path / "set.xyz", frames[:3]), level)
    extended = extend_dataset(level, previous=imported, label_000003=label)
    assert extended.n_frames == 4


def test_labels_of_another_level_get_a_level_of_their_own(
    generate_label, level_of, labelled_frames, level, tmp_path
) -> None:
    imported = import_dataset(written(tmp_path / "set.xyz", labelled_frames(2)), level)
    label = generate_label(labelled_frames(3)[2])
    extended = extend_dataset(level_of(label), previous=imported, label_000002=label)
    assert extended.states() == [LabelState(0, 2, 0), LabelState(0, 2, 0), LabelState(0, 2, 1)]


def test_charge_and_spin_that_the_file_lacks_are_an_input(labelled_frames, level, tmp_path) -> None:
    path = tmp_path / "set.xyz"
    write_exchanged_frames(path, labelled_frames(2), [{}, {}], "extxyz")
    path.write_text(path.read_text().replace("charge=0 spin=2 multiplicity=3 ", ""))
    file = orm.SinglefileData(path).store()
    with pytest.raises(InputError, match=r"`set.xyz` does not say the charge of its configurations.*`--charge`"):
        import_dataset(file, level)
    with pytest.raises(InputError, match=r"does not say the spin .*neither `spin` nor `multiplicity`.*`--spin`"):
        import_dataset(file, level, orm.Dict({"charge": -1}))
    dataset = import_dataset(file, level, orm.Dict({"charge": -1, "spin": "none"}))
    assert dataset.states() == [LabelState(-1, None)] * 2


def test_settings_of_a_level_state_charge_and_spin(labelled_frames, tmp_path) -> None:
    """As levels of earlier versions do, which may be given again."""
    settings = {**LEVEL_OF_THEORY["settings"], "tot_charge": -1.0, "tot_magnetization": -1.0}
    old = LevelOfTheoryData({**LEVEL_OF_THEORY, "settings": settings}).store()
    file = written(tmp_path / "set.xyz", labelled_frames(2))
    with pytest.raises(InputError, match=r"frame 0 of `set.xyz` has the charge 0, but -1 is stated"):
        import_dataset(file, old)
    path = tmp_path / "set.xyz"
    path.write_text(path.read_text().replace("charge=0 spin=2 multiplicity=3 ", ""))
    dataset = import_dataset(orm.SinglefileData(path).store(), old)
    assert dataset.states() == [LabelState(-1, 1)] * 2
    assert dataset.levels_of_theory == [LEVEL_OF_THEORY]
