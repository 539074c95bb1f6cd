"""Variational autoencoder of permutation invariant vectors; its latent means are the collective variables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

from aiida_sicmlip.common.exceptions import InputError


def dense_layers(sizes: Sequence[int], dtype: torch.dtype) -> nn.Sequential:
    """Return a dense network with layers of the given sizes and tanh between them; the output is linear.

    :param dtype: of the weights. It is explicit, since NequIP changes torch's default for the process, and the random
        initial weights depend on it.
    """
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        layers += [nn.Tanh()] if number else []
        layers.append(nn.Linear(inputs, outputs, dtype=dtype))
    return nn.Sequential(*layers)


class PivAutoencoder(nn.Module):
    """Encoder and mirrored decoder, including the standardisation of the vectors.

    mean: of the training vectors, (P,).
    std: standard deviation of the training vectors, (P,).
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor, hidden: Sequence[int], latent: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        length = len(mean)
        self.encoder = dense_layers([length, *hidden, latent], mean.dtype)
        # The variance of the latent distribution branches off the last hidden layer; it is not exported.
        self.log_variance = nn.Linear(hidden[-1], latent, dtype=mean.dtype)
        self.decoder = dense_layers([latent, *reversed(hidden), length], mean.dtype)

    def standardise(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return vectors (F, P) scaled to zero mean and a mean variance of 1 over the training frames."""
        return (vectors - self.mean) / self.std

    def encode(self, standardised: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of the latent distribution, (F, latent) each."""
        features = self.encoder[:-1](standardised)
        return self.encoder[-1](features), self.log_variance(features)

    def decode(self, variables: torch.Tensor) -> torch.Tensor:
        """Return the vectors (F, P) decoded from collective variables (F, latent)."""
        return self.decoder(variables) * self.std + self.mean

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the collective variables (F, latent): the means of the latent distributions of vectors (F, P)."""
        return self.encode(self.standardise(vectors))[0]

    def loss(self, standardised: torch.Tensor, kl_weight: float, noise: torch.Tensor | None = None) -> torch.Tensor:
        """Return the loss of each frame, (F,): half the summed squared error plus the weighted KL divergence.

        For `kl_weight` 1 it is the negative evidence lower bound with unit noise, without its constant; Kingma and
        Welling, arXiv:1312.6114, eq. 10.

        :param standardised: vectors (F, P) after :meth:`standardise`.
        :param noise: standard normal random numbers, (F, latent); None: the latent mean is decoded.
        """
        mean, log_variance = self.encode(standardised)
        latent = mean if noise is None else mean + noise * torch.exp(0.5 * log_variance)
        error = 0.5 * (self.decoder(latent) - standardised).square().sum(1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(1)
        return error + kl_weight * divergence


def standardisation(
    vectors: torch.Tensor, shared_by: str = "entry", block_sizes: Sequence[int] | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation (P,) of vectors (F, P), with deviation 1 where nothing varies.

    A deviation that entries share is the root of the mean of their variances, so that the variances of standardised
    vectors always sum to P.

    :param shared_by: one of :data:`~aiida_sicmlip.science.pines.settings.STANDARDISATIONS`.
    :param block_sizes: entries of each block, in order; needed where the entries of a block share a deviation.
    :raises InputError: where they are needed and missing.
    """
    wide = vectors.double()
    mean, variance = wide.mean(0), wide.var(0, correction=0)
    if shared_by == "block" and block_sizes is None:
        raise InputError("`standardisation` is 'block', but the sizes of the blocks are not given.")
    shares = {"entry": [1] * len(variance), "block": list(block_sizes or ()), "vector": [len(variance)]}[shared_by]
    std = torch.cat([share.mean().sqrt().expand(len(share)) for share in variance.split(shares)])
    # Below this, what varies is the rounding of float32.
    std = torch.where(std > 1e-6, std, torch.ones_like(std))
    return mean.to(vectors.dtype), std.to(vectors.dtype)


def variance_explained(model: PivAutoencoder, vectors: torch.Tensor) -> float:
    """Return the fraction of the variance of standardised vectors (F, P) that the decoded means explain, 0 to 1.

    It is 0 for a model that is worse than the mean of the vectors, and for vectors that are constant.
    """
    with torch.no_grad():
        standardised = model.standardise(vectors)
        decoded = model.decoder(model.encode(standardised)[0])
        residual = (decoded - standardised).double().square().sum()
        total = (standardised - standardised.mean(0)).double().square().sum()
    return float(torch.clamp(1.0 - residual / total, 0.0, 1.0)) if total > 0 else 0.0
