"""The TorchScript file and the description: same numbers as the model, and read back as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.pines.export import read_model, serialise_model, write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import pair_distances
from aiida_sicmlip.science.pines.settings import SwitchingFunction
from aiida_sicmlip.science.pines.training import train_autoencoder

SWITCHING = SwitchingFunction()


@pytest.fixture(scope="module")
def files(tmp_path_factory, divacancy, trained):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder / "model.ptc", folder / "cv.json", divacancy.layout, SWITCHING, trained)
    return folder / "model.ptc", folder / "cv.json"


@pytest.fixture(scope="module")
def frames(divacancy) -> np.ndarray:
    return divacancy.thermal(divacancy.defect.atoms.positions, seed=21, frames=8)


@pytest.fixture(scope="module")
def distances(divacancy, frames) -> torch.Tensor:
    """Distances (8, 435) in the order of the description's pairs."""
    return pair_distances(torch.tensor(frames), divacancy.host.cell.array, divacancy.host.pbc, divacancy.layout.pairs)


def test_exported_model_equals_the_trained_one(divacancy, trained, files, frames, distances):
    script = torch.jit.load(files[0])
    expected = trained.model(divacancy.vectors(frames).float()).detach()
    assert expected.std(0).min() > 0.05
    for row, values in zip(distances.float(), expected, strict=True):
        # As PLUMED calls it: one row of float32.
        found = script(row[None])
        assert found.shape == (1, 3)
        assert found.dtype == torch.float32
        assert torch.allclose(found[0], values, rtol=0, atol=2e-5)
    module = CollectiveVariables(divacancy.layout, SWITCHING, trained.model)
    assert torch.allclose(script(distances.float()), module(distances.float()), rtol=0, atol=1e-6)


def test_derivatives_of_the_exported_model(divacancy, trained, distances):
    module = CollectiveVariables(divacancy.layout, SWITCHING, trained.model).double()
    row = distances[:1].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(module(row)[0, 1], row)
    step = 1e-6
    for pair in range(0, 435, 17):
        shift = torch.zeros_like(distances[:1])
        shift[0, pair] = step
        slope = (module(distances[:1] + shift) - module(distances[:1] - shift))[0, 1] / (2 * step)
        assert float(gradient[0, pair]) == pytest.approx(float(slope), rel=1e-5, abs=1e-8)
    single = distances[:1].float().requires_grad_(True)
    script = torch.jit.script(CollectiveVariables(divacancy.layout, SWITCHING, trained.model))
    (in_float,) = torch.autograd.grad(script(single)[0, 1], single)
    assert gradient.abs().max() > 1e-3
    assert torch.allclose(in_float.double(), gradient, rtol=1e-3, atol=1e-4)


def test_exchange_inside_groups_leaves_the_exported_variables(divacancy, files, frames):
    model = read_model(*files)
    exchanged = frames.copy()
    for members in divacancy.chosen.groups.values():
        exchanged[:, members] = frames[:, members[::-1]]
    cell, pbc = divacancy.host.cell.array, divacancy.host.pbc
    assert model.evaluate(exchanged, cell, pbc) == pytest.approx(model.evaluate(frames, cell, pbc), abs=2e-5)


def test_model_is_read_back(divacancy, trained, files, frames):
    model = read_model(*files)
    assert model.layout == divacancy.layout
    assert model.switching == SWITCHING
    found = model.evaluate(frames, divacancy.host.cell.array, divacancy.host.pbc)
    assert found.shape == (8, 3)
    expected = trained.model(divacancy.vectors(frames).float()).detach().double().numpy()
    assert found == pytest.approx(expected, abs=2e-5)


def test_description_says_what_the_model_is(divacancy, trained, files):
    description = json.loads(files[1].read_text())
    assert description == read_model(*files).description
    assert description["atoms"] == list(divacancy.chosen.indices)
    assert description["groups"] == divacancy.chosen.groups
    assert len(description["pairs"]) == 435
    assert description["pairs"][0] == list(divacancy.chosen.indices[:2])
    assert description["switching"] == {"r0": 3.2, "exponent": 6}
    assert description["autoencoder"]["hidden"] == [64, 32, 16]
    assert description["variance_explained"] == trained.variance_explained
    assert description["held_out_trajectories"] == trained.held_out
    assert [row["epoch"] for row in description["training_curve"]] == [epoch.epoch for epoch in trained.curve]
    assert [set(entry) for entry in description["ranges"]] == [{"minimum", "maximum", "mean", "std"}] * 3


def test_equal_models_give_equal_files(divacancy, training_vectors, tmp_path, trained):
    again = train_autoencoder(training_vectors, trained.settings)
    contents = [serialise_model(CollectiveVariables(divacancy.layout, SWITCHING, m.model)) for m in (trained, again)]
    assert contents[0] == contents[1]
    for number, model in enumerate((trained, again)):
        write_model(tmp_path / "model.ptc", tmp_path / f"{number}.json", divacancy.layout, SWITCHING, model)
    assert (tmp_path / "0.json").read_bytes() == (tmp_path / "1.json").read_bytes()


def test_files_that_cannot_be_read_are_refused(files, tmp_path, divacancy, trained):
    model, description = files
    broken = tmp_path / "broken"
    broken.write_text("no model")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        read_model(model, broken)
    with pytest.raises(InputError, match="cannot be read as TorchScript"):
        read_model(broken, description)
    with pytest.raises(InputError, match="cannot be read as TorchScript"):
        read_model(tmp_path / "absent", description)
    broken.write_text("[]")
    with pytest.raises(InputError, match="no description of collective variables"):
        read_model(model, broken)
    # The same number of atoms in other groups: distances would be sorted into the wrong blocks.
    groups = divacancy.chosen.groups
    swapped = {**groups, "Si1": groups["C1"], "C1": groups["Si1"]}
    write_model(tmp_path / "other.ptc", broken, PivLayout.from_groups(swapped), SWITCHING, trained)
    with pytest.raises(InputError, match="do not belong together"):
        read_model(model, broken)
