"""Torch module that maps distances to collective variables, for TorchScript.

TorchScript needs types as annotations, so this module does not postpone their evaluation.
"""

import torch
from torch import nn

from aiida_sicmlip.science.pines.autoencoder import PivAutoencoder
from aiida_sicmlip.science.pines.layout import PivLayout
from aiida_sicmlip.science.pines.piv import sorted_in_blocks, switched
from aiida_sicmlip.science.pines.settings import SwitchingFunction


class CollectiveVariables(nn.Module):
    """Map from distances to collective variables: switching function, sorting, standardisation, encoder.

    The weights of all layers are in one buffer instead of submodules: TorchScript numbers instances of a class by what
    the process created before, so that equal models would not give equal files.

    :param autoencoder: its weights are copied as float32.
    """

    order: torch.Tensor
    mean: torch.Tensor
    std: torch.Tensor
    weights: torch.Tensor

    def __init__(self, layout: PivLayout, switching: SwitchingFunction, autoencoder: PivAutoencoder) -> None:
        super().__init__()
        self.r0 = float(switching.r0)
        self.exponent = int(switching.exponent)
        self.sizes = layout.block_sizes
        layers = [layer for layer in autoencoder.encoder if isinstance(layer, nn.Linear)]
        self.neurons = [layer.in_features for layer in layers] + [layers[-1].out_features]
        flat = [part.detach().float().flatten() for layer in layers for part in (layer.weight, layer.bias)]
        self.register_buffer("order", torch.tensor(layout.order))
        self.register_buffer("mean", autoencoder.mean.detach().float().clone())
        self.register_buffer("std", autoencoder.std.detach().float().clone())
        self.register_buffer("weights", torch.cat(flat))

    def forward(self, distances: torch.Tensor) -> torch.Tensor:
        """Return the collective variables (..., latent) of distances (..., P) in A."""
        vectors = sorted_in_blocks(switched(distances, self.r0, self.exponent), self.order, self.sizes)
        values = (vectors - self.mean) / self.std
        begin = 0
        for layer in range(len(self.neurons) - 1):
            inputs, outputs = self.neurons[layer], self.neurons[layer + 1]
            middle, end = begin + inputs * outputs, begin + (inputs + 1) * outputs
            weight = self.weights[begin:middle].view(outputs, inputs)
            values = torch.tanh(values) if layer else values
            values = torch.nn.functional.linear(values, weight, self.weights[middle:end])
            begin = end
        return values
