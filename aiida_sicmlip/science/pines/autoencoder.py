"""A variational autoencoder on permutation invariant vectors; its means are the collective variables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn


def dense_layers(sizes: Sequence[int], dtype: torch.dtype) -> nn.Sequential:
    """Return dense layers between the given numbers of neurons, tanh between them, the last one linear.

    :param dtype: of the weights. It is given because torch's default is the process's, which NequIP changes, and random
        numbers differ with it.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [nn.Tanh()] if number else []
        layers.append(nn.Linear(inputs, outputs, dtype=dtype))
    return nn.Sequential(*layers)


class PivAutoencoder(nn.Module):
    """Encoder, latent space and symmetric decoder, with the standardisation of the vectors inside the model.

    mean, std: of the vectors that the model is trained on, (P,).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        length = len(mean)
        self.encoder = dense_layers([length, *hidden, latent], mean.dtype)
        # The noise of the latent space branches off the last hidden layer, and is not part of what is exported.
        self.log_variance = nn.Linear(hidden[-1], latent, dtype=mean.dtype)
        self.decoder = dense_layers([latent, *reversed(hidden), length], mean.dtype)

    def standardise(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return vectors (F, P) with zero mean and unit variance over the training frames."""
        return (vectors - self.mean) / self.std

    def encode(self, standardised: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and logarithm of the variance of the latent distribution, (F, latent) each."""
        features = self.encoder[:-1](standardised)
        return self.encoder[-1](features), self.log_variance(features)

    def decode(self, variables: torch.Tensor) -> torch.Tensor:
        """Return the vectors (F, P) that collective variables (F, latent) stand for."""
        return self.decoder(variables) * self.std + self.mean

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the collective variables (F, latent): the means of the latent distributions of vectors (F, P)."""
        return self.encode(self.standardise(vectors))[0]

    def loss(self, standardised: torch.Tensor, kl_weight: float, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of each frame, (F,): half the summed squared error plus the weighted KL term.

            The negative evidence lower bound with unit noise, less its constant: Kingma and Welling, arXiv:1312.6114,
            eq. 10.
        :param noise: (F, latent) standard normal numbers; without them the mean is decoded.
        """
        mean, log_variance = self.encode(standardised)
        latent = mean if noise is None else mean + noise * torch.exp(0.5 * log_variance)
        error = 0.5 * (self.decoder(latent) - standardised).square().sum(1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        return error + kl_weight * divergence


def standardisation(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation (P,) of vectors (F, P), with deviation 1 for entries that do not vary."""
    wide = vectors.double()
    mean, std = wide.mean(0), wide.std(0, correction=0)
    # Below this, what varies is the rounding of float32.
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    return mean.to(vectors.dtype), std.to(vectors.dtype)


def variance_explained(model: PivAutoencoder, vectors: torch.Tensor) -> float:
    """Return which part of the variance of standardised vectors (F, P) the decoded means reproduce, from 0 to 1.

    A model that is worse than the mean of the vectors gets 0, and so do vectors that do not vary.
    """
    with torch.no_grad():
        standardised = model.standardise(vectors)
        decoded = model.decoder(model.encode(standardised)[0])
        left = (decoded - standardised).double().square().sum()
        total = (standardised - standardised.mean(0)).double().square().sum()
    return float(torch.clamp(1.0 - left / total, 0.0, 1.0)) if total > 0 else 0.0
