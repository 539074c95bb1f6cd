"""The TorchScript file and the description: same numbers as the model, and read back as they were."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import aiida_sicmlip
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.archives import array_archive
from aiida_sicmlip.science.pines.autoencoder import variance_explained
from aiida_sicmlip.science.pines.export import read_model, write_model
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.model import CollectiveVariables
from aiida_sicmlip.science.pines.piv import pair_distances
from aiida_sicmlip.science.pines.settings import SwitchingFunction
from aiida_sicmlip.science.pines.training import train_autoencoder

SWITCHING = SwitchingFunction(r0=3.2, exponent=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, divacancy, trained):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, divacancy.layout, SWITCHING, trained)
    return folder


@pytest.fixture(scope="module")
def frames(divacancy, state_positions) -> np.ndarray:
    """Eight frames, some of each state."""
    states = [divacancy.thermal(place, seed=21, frames=3) for place in state_positions.values()]
    return np.concatenate(states)[:8]


@pytest.fixture(scope="module")
def distances(divacancy, frames) -> torch.Tensor:
    """Distances (8, 435) in the order of the description's pairs."""
    return pair_distances(torch.tensor(frames), divacancy.host.cell.array, divacancy.host.pbc, divacancy.layout.pairs)


def test_exported_model_equals_the_trained_one(divacancy, trained, folder, frames, distances):
    script = torch.jit.load(folder / "model.ptc")
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


def test_exchange_inside_groups_leaves_the_exported_variables(divacancy, folder, frames):
    model = read_model(folder)
    exchanged = frames.copy()
    for members in divacancy.chosen.groups.values():
        exchanged[:, members] = frames[:, members[::-1]]
    cell, pbc = divacancy.host.cell.array, divacancy.host.pbc
    assert model.evaluate(exchanged, cell, pbc) == pytest.approx(model.evaluate(frames, cell, pbc), abs=2e-5)


def test_model_is_read_back(divacancy, trained, folder, frames):
    model = read_model(folder)
    assert model.layout == divacancy.layout
    assert model.switching == SWITCHING
    found = model.evaluate(frames, divacancy.host.cell.array, divacancy.host.pbc)
    assert found.shape == (8, 3)
    expected = trained.model(divacancy.vectors(frames).float()).detach().double().numpy()
    assert found == pytest.approx(expected, abs=2e-5)


def test_description_says_what_the_model_is(divacancy, trained, folder):
    description = json.loads((folder / "cv.json").read_text())
    assert description == read_model(folder).description
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


def test_the_decoder_is_read_back(divacancy, trained, folder, frames):
    vectors = divacancy.vectors(frames).float()
    with torch.no_grad():
        variables = trained.model(vectors)
        expected = trained.model.decoder(variables) * trained.model.std + trained.model.mean
    model = read_model(folder)
    found = model.decode(variables.numpy())
    assert found.shape == (8, 435)
    assert found == pytest.approx(expected.double().numpy(), abs=1e-6)
    # Rebuilt from the node's files alone, the autoencoder explains what the trained one does.
    assert variance_explained(model.autoencoder, vectors) == pytest.approx(variance_explained(trained.model, vectors))
    assert {name: str(array.dtype) for name, array in np.load(folder / "autoencoder.npz").items()} == dict.fromkeys(
        trained.model.state_dict(), "float32"
    )


def test_default_precision_of_the_process_changes_nothing(folder, frames, divacancy):
    """NequIP makes float64 torch's default in the process that it is used in."""
    vectors = divacancy.vectors(frames).float()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        model = read_model(folder)
        with torch.no_grad():
            variables = model.autoencoder(vectors)
        assert model.decode(variables.numpy()).shape == (8, 435)
    finally:
        torch.set_default_dtype(before)


def test_equal_models_give_equal_files(divacancy, training_vectors, tmp_path, trained, folder):
    again = train_autoencoder(training_vectors, trained.settings)
    write_model(tmp_path, divacancy.layout, SWITCHING, again)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert len(list(folder.iterdir())) == 3


def test_the_model_says_nothing_about_the_machine(folder):
    """TorchScript holds the paths of the sources by itself: equal models of two machines would hash differently."""
    places = {str(Path(module.__file__).parent).encode() for module in (torch, aiida_sicmlip)}
    with zipfile.ZipFile(folder / "model.ptc") as archive:
        for name in archive.namelist():
            assert not any(place in archive.read(name) for place in places), name


def test_files_that_cannot_be_read_are_refused(folder, tmp_path, divacancy, trained):
    names = ("model.ptc", "cv.json", "autoencoder.npz")

    def refused(message: str, **replaced: str | bytes | None) -> None:
        for name in names:
            content = replaced.get(name.split(".")[0], (folder / name).read_bytes())
            (tmp_path / name).unlink(missing_ok=True)
            if content is not None:
                (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(InputError, match=message):
            read_model(tmp_path)

    refused("cannot be read as JSON", cv="no description")
    refused("not a description of collective variables", cv="[]")
    refused("cannot be read as TorchScript", model="no model")
    refused("cannot be read as TorchScript", model=None)
    refused("weights .* cannot be read", autoencoder="no weights")
    refused("weights .* cannot be read", autoencoder=None)

    # The same number of atoms in other groups: distances would be sorted into the wrong blocks.
    groups = divacancy.chosen.groups
    swapped = {**groups, "Si1": groups["C1"], "C1": groups["Si1"]}
    other = tmp_path / "other"
    other.mkdir()
    write_model(other, PivLayout.from_groups(swapped), SWITCHING, trained)
    refused("are inconsistent: the order of pairs differs", cv=(other / "cv.json").read_bytes())
    state = {name: array.copy() for name, array in np.load(folder / "autoencoder.npz").items()}
    state["encoder.0.weight"][0, 0] += 1.0
    refused("are inconsistent: their encoders differ", autoencoder=array_archive(state))
    del state["decoder.0.weight"]
    refused("do not fit the layers of the description", autoencoder=array_archive(state))
