"""The autoencoder and its training: what it separates, what it holds out, and that a seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.defects.crystals import coordination_shells, nearest_distance
from aiida_sicmlip.science.defects.hosts import HostSettings, build_host
from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder, standardisation, variance_explained
from aiida_sicmlip.science.pines.piv import switched
from aiida_sicmlip.science.pines.settings import AutoencoderSettings, SwitchingFunction, SwitchingSettings
from aiida_sicmlip.science.pines.training import (
    NotFiniteLossError,
    split_trajectories,
    train_autoencoder,
)

QUICK = AutoencoderSettings(hidden=(8,), latent=2, max_epochs=4, batch_size=16, held_out=0.5, seed=7)


def separation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the distance of two clouds (F, latent) in their own standard deviations along the line between them."""
    line = second.mean(0) - first.mean(0)
    along = line / np.linalg.norm(line)
    spread = np.sqrt(0.5 * ((first @ along).var() + (second @ along).var()))
    return float(np.linalg.norm(line) / spread)


@pytest.fixture
def plane() -> list[torch.Tensor]:
    """Four trajectories of vectors that lie in a plane of five dimensions, with a little noise."""
    generator = torch.Generator().manual_seed(1)
    axes = torch.randn(2, 5, generator=generator)
    return [
        torch.randn(60, 2, generator=generator) @ axes + 0.05 * torch.randn(60, 5, generator=generator)
        for _ in range(4)
    ]


def test_reorientations_of_the_divacancy_get_different_variables(divacancy, state_positions, trained):
    clouds = {
        state: trained.model(divacancy.vectors(divacancy.thermal(positions, seed=99)).float()).detach().numpy()
        for state, positions in state_positions.items()
    }
    for first, second in (("initial", "Si hop"), ("initial", "C hop"), ("Si hop", "C hop")):
        assert separation(clouds[first], clouds[second]) > 4, (first, second)
    # Two hops that a symmetry of the defect maps on each other are one state.
    hops = [trained.model(divacancy.vectors(divacancy.reoriented("Si", n)).float()).detach() for n in (0, 1)]
    assert torch.allclose(hops[0], hops[1], atol=1e-4)


def test_training_improves_and_reports(training_vectors, trained):
    assert [epoch.epoch for epoch in trained.curve] == list(range(1, len(trained.curve) + 1))
    losses = [epoch.held_out_loss for epoch in trained.curve]
    assert losses[trained.best_epoch - 1] == min(losses) < 0.8 * losses[0]
    assert trained.n_frames == [80] * 9
    assert len(trained.held_out) == 2
    for part in ("training", "held_out"):
        assert 0.2 < trained.variance_explained[part] <= 1
    values = torch.cat([trained.model(vectors) for vectors in training_vectors]).detach().numpy()
    for column, found in zip(values.T, trained.ranges, strict=True):
        assert found["minimum"] == pytest.approx(column.min())
        assert found["maximum"] == pytest.approx(column.max())
        assert found["mean"] == pytest.approx(column.mean(), abs=1e-5)
        assert found["std"] == pytest.approx(column.std(), abs=1e-5)


def test_a_plane_is_explained_by_two_variables_and_not_by_one(plane):
    settings = {"hidden": (16,), "batch_size": 30, "max_epochs": 80, "kl_weight": 0.01, "learning_rate": 5e-3}
    both = train_autoencoder(plane, AutoencoderSettings(latent=2, **settings))
    one = train_autoencoder(plane, AutoencoderSettings(latent=1, **settings))
    assert both.variance_explained["held_out"] > 0.95
    # One straight or bent line through a plane of two normal numbers.
    assert one.variance_explained["held_out"] < 0.9


def test_equal_seeds_give_equal_weights(plane):
    first = train_autoencoder(plane, QUICK).model.state_dict()
    # Whatever random numbers were drawn before.
    torch.rand(7)
    second = train_autoencoder(plane, QUICK).model.state_dict()
    other = train_autoencoder(plane, AutoencoderSettings(**{**QUICK.to_dict(), "seed": 8})).model.state_dict()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert not torch.equal(first["encoder.0.weight"], other["encoder.0.weight"])


def test_the_random_state_of_torch_is_left_alone(plane):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_autoencoder(plane, QUICK)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("count", "fraction", "held_out"), [(2, 0.2, 1), (10, 0.2, 2), (3, 0.9, 2), (5, 0.0, 0)])
def test_whole_trajectories_are_held_out(count, fraction, held_out):
    training, testing = split_trajectories(count, fraction, seed=1)
    assert len(testing) == held_out
    assert sorted([*training, *testing]) == list(range(count))
    assert split_trajectories(count, fraction, seed=1) == (training, testing)


def test_seeds_choose_different_trajectories():
    assert len({tuple(split_trajectories(10, 0.2, seed)[1]) for seed in range(10)}) > 3


def test_held_out_trajectories_do_not_leak(plane):
    """Whatever is in a held-out trajectory, the weights after the same number of epochs are the same."""
    settings = AutoencoderSettings(**{**QUICK.to_dict(), "max_epochs": 1})
    _, testing = split_trajectories(len(plane), settings.held_out, settings.seed)
    changed = [100 * vectors[:7] - 3 if number in testing else vectors for number, vectors in enumerate(plane)]
    first, second = train_autoencoder(plane, settings), train_autoencoder(changed, settings)
    assert first.held_out == second.held_out == testing
    for name, weights in first.model.state_dict().items():
        assert torch.equal(weights, second.model.state_dict()[name]), name
    assert first.curve[0].training_loss == second.curve[0].training_loss
    assert first.curve[0].held_out_loss != second.curve[0].held_out_loss


def test_training_ends_early_and_keeps_the_best_weights(plane):
    settings = AutoencoderSettings(
        hidden=(32,), latent=2, batch_size=8, learning_rate=0.05, max_epochs=200, patience=3, held_out=0.25
    )
    result = train_autoencoder(plane, settings)
    assert len(result.curve) == result.best_epoch + 3 < 200
    held_out = torch.cat([plane[number] for number in result.held_out])
    with torch.no_grad():
        loss = result.model.loss(result.model.standardise(held_out), settings.kl_weight).mean()
    assert float(loss) == pytest.approx(result.curve[result.best_epoch - 1].held_out_loss, rel=1e-6)


def test_without_held_out_trajectories_the_last_epoch_counts(plane):
    result = train_autoencoder(plane[:1], AutoencoderSettings(**{**QUICK.to_dict(), "held_out": 0}))
    assert result.best_epoch == len(result.curve) == 4
    assert result.held_out == []
    assert result.variance_explained["held_out"] is None
    assert {epoch.held_out_loss for epoch in result.curve} == {None}


def test_loss_is_the_bound_with_unit_noise():
    model = PivAutoencoder(torch.zeros(3), torch.ones(3), (4,), 2)
    vectors = torch.randn(5, 3, generator=torch.Generator().manual_seed(2))
    mean, log_variance = model.encode(vectors)
    unit = torch.distributions.Normal(0.0, 1.0)
    latent = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    divergence = torch.distributions.kl_divergence(latent, unit).sum(1)
    likelihood = torch.distributions.Normal(model.decoder(mean), 1.0).log_prob(vectors).sum(1)
    constant = 1.5 * np.log(2 * np.pi)
    assert torch.allclose(model.loss(vectors, 0.5), -likelihood - constant + 0.5 * divergence, atol=1e-5)


def test_entries_that_do_not_vary_are_standardised_to_zero():
    vectors = torch.tensor([[0.25, 1.0], [0.25, 3.0]])
    mean, std = standardisation(vectors)
    assert mean.tolist() == [0.25, 2.0]
    assert std.tolist() == [1.0, 1.0]
    still = PivAutoencoder(mean, std, (4,), 1)
    assert variance_explained(still, vectors[:1]) == 0.0
    # An untrained model on far-off vectors is worse than their mean, which counts as nothing explained.
    assert variance_explained(still, vectors + 50) == 0.0


@pytest.mark.parametrize(
    ("trajectories", "message"),
    [
        ([], "no trajectory"),
        ([torch.rand(3, 2)], "there is only 1 trajectory"),
        ([torch.rand(3, 2), torch.rand(0, 2)], "Trajectory 1 has no frame"),
        ([torch.rand(3, 2), torch.rand(3, 4)], "a different length"),
        ([torch.rand(3, 2), torch.full((1, 2), torch.nan)], "not finite"),
    ],
)
def test_trajectories_that_cannot_be_used_are_refused(trajectories, message):
    with pytest.raises(InputError, match=message):
        train_autoencoder(trajectories, QUICK)


def test_a_loss_that_explodes_is_told(plane):
    with pytest.raises(NotFiniteLossError, match="decrease `autoencoder"):
        train_autoencoder(plane, AutoencoderSettings(**{**QUICK.to_dict(), "learning_rate": 1e30}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latents": 3}, "Did you mean `latent`"),
        ({"latent": 0}, "`autoencoder.latent` is 0"),
        ({"hidden": []}, r"`autoencoder.hidden` is \[\]"),
        ({"hidden": 64}, "`autoencoder.hidden` is 64"),
        ({"hidden": [64, 0]}, "give a list of whole numbers from 1"),
        ({"held_out": 1.0}, "below 1"),
        ({"held_out": -0.1}, "`autoencoder.held_out` is -0.1"),
        ({"kl_weight": float("nan")}, "give a number"),
        ({"learning_rate": 0}, "above zero"),
        ({"seed": 1.5}, "whole number"),
        ({"patience": 0}, "at least 1"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        AutoencoderSettings.from_mapping(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"r0": 0}, "`switching.r0` is 0"),
        ({"exponent": 1}, "at least 2"),
        ({"exponent": 48}, "of at least 2 and at most 24"),
    ],
)
def test_wrong_switching_functions_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        SwitchingSettings.from_mapping(settings)


@pytest.mark.parametrize(
    ("crystal", "lattice_constant", "second_shell"),
    [("zincblende", 4.36, 3.083), ("diamond", 3.567, 2.522), ("diamond", 5.431, 3.840)],
)
def test_the_switching_function_ends_beyond_the_second_shell_of_any_crystal(crystal, lattice_constant, second_shell):
    species = ("Si", "C") if crystal == "zincblende" else ("C",)
    host = build_host(HostSettings(crystal, species, lattice_constant))
    switching = SwitchingSettings().in_crystal(nearest_distance(host))
    second, third = (coordination_shells(host, 0, 3)[shell].distance for shell in (1, 2))
    assert second == pytest.approx(second_shell, abs=1e-3)
    assert second < switching.r0 < third
    # The same values on the same shells, whatever the bonds.
    values = switched(torch.tensor([second, third]), switching.r0, switching.exponent)
    assert values.tolist() == pytest.approx([0.537, 0.309], abs=2e-3)


def test_a_given_length_is_kept():
    assert SwitchingSettings(r0=2.6, exponent=8).in_crystal(2.35) == SwitchingFunction(r0=2.6, exponent=8)


def test_defaults_are_those_of_the_method():
    settings = AutoencoderSettings()
    assert (settings.hidden, settings.latent) == ((64, 32, 16), 3)
    model = PivAutoencoder(torch.zeros(435), torch.ones(435), settings.hidden, settings.latent)
    sizes = [tuple(layer.weight.shape) for layer in model.encoder if hasattr(layer, "weight")]
    assert sizes == [(64, 435), (32, 64), (16, 32), (3, 16)]
    mirrored = [tuple(layer.weight.shape) for layer in model.decoder if hasattr(layer, "weight")]
    assert mirrored == [shape[::-1] for shape in sizes[::-1]]
