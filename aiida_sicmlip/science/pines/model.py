"""Distances to collective variables, as one module that TorchScript can write.

TorchScript reads annotations as types, so this module does not postpone their evaluation.
"""

import copy

import torch
from torch import nn

from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import sorted_in_blocks, switched
from aiida_sicmlip.science.pines.settings import SwitchingFunction


class CollectiveVariables(nn.Module):
    """Distances to collective variables: switching function, sorting, standardisation, encoder.

    :param autoencoder: whose weights are copied, as float32.
    """

    order: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, layout: PivLayout, switching: SwitchingFunction, autoencoder: PivAutoencoder) -> None:
        super().__init__()
        self.r0 = float(switching.r0)
        self.exponent = int(switching.exponent)
        self.sizes = layout.block_sizes
        self.register_buffer("order", torch.tensor(layout.order))
        self.register_buffer("mean", autoencoder.mean.detach().float().clone())
        self.register_buffer("std", autoencoder.std.detach().float().clone())
        self.encoder = copy.deepcopy(autoencoder.encoder).float()
        self.requires_grad_(False)

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        """Return the collective variables (..., latent) of distances (..., P) in A."""
        vectors = sorted_in_blocks(switched(distances, self.r0, self.exponent), self.order, self.sizes)
        return self.encoder((vectors - self.mean) / self.std)
