"""The Lennard-Jones prior inside a NequIP or Allegro model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nequip.data import AtomicDataDict
from nequip.nn import GraphModuleMixin, scatter, with_edge_vectors_


class LennardJonesPairs(GraphModuleMixin, torch.nn.Module):
    """Adds Lennard-Jones pairs with an envelope to the energy of each atom; the model's derivatives see the sum.

    Computes what :class:`aiida_sicmlip.science.training.lennard_jones.LennardJonesPrior` does without its offsets,
    which belong into the model's energy shifts, always in float64. Nothing in it is trained.

    :param type_names: elements in the model's order.
    :param species: elements in the order of ``repulsion`` and ``attraction``; each of ``type_names`` is among them.
    :param repulsion: (T, T), eV A^12.
    :param attraction: (T, T), eV A^6.
    :param cutoff: A; not above any cutoff of the model, whose edges are all that is seen here.
    :param model_cutoff: the least cutoff of the model, A.
    :raises ValueError: when an element is missing or the cutoff is too long.
    """

    repulsion: torch.Tensor
    attraction: torch.Tensor

    def __init__(
        self,
        *,
        type_names: Sequence[str],
        species: Sequence[str],
        repulsion: Sequence[Sequence[float]],
        attraction: Sequence[Sequence[float]],
        cutoff: float,
        model_cutoff: float,
        irreps_in: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        energies = {AtomicDataDict.PER_ATOM_ENERGY_KEY: "0e"}
        GraphModuleMixin._init_irreps(self, irreps_in=irreps_in, irreps_out=energies)
        missing = [name for name in type_names if name not in species]
        if missing:
            raise ValueError(f"The prior has no coefficients for {', '.join(missing)}.")
        if cutoff > model_cutoff:
            raise ValueError(f"The prior's cutoff ({cutoff} A) is above the model's ({model_cutoff} A).")
        order = [list(species).index(name) for name in type_names]
        for name, values in (("repulsion", repulsion), ("attraction", attraction)):
            table = [[float(values[i][j]) for j in order] for i in order]
            self.register_buffer(name, torch.tensor(table, dtype=torch.float64))
        self.num_types = len(order)
        self.cutoff = float(cutoff)

    def forward(self, data: AtomicDataDict.Type) -> AtomicDataDict.Type:
        """Return ``data`` with the pairs in the energy of each atom; half of each pair's to either atom."""
        data = with_edge_vectors_(data, with_lengths=True)
        centres, neighbours = data[AtomicDataDict.EDGE_INDEX_KEY][0], data[AtomicDataDict.EDGE_INDEX_KEY][1]
        kinds = data[AtomicDataDict.ATOM_TYPE_KEY].view(-1)
        pairs = torch.index_select(kinds, 0, centres) * self.num_types + torch.index_select(kinds, 0, neighbours)
        lengths = data[AtomicDataDict.EDGE_LENGTH_KEY].view(-1).to(torch.float64)
        x = lengths / self.cutoff
        envelope = (1.0 - 28.0 * x**6 + 48.0 * x**7 - 21.0 * x**8) * (x < 1.0)
        sixth = lengths**-6
        repulsion = torch.index_select(self.repulsion.view(-1), 0, pairs)
        attraction = torch.index_select(self.attraction.view(-1), 0, pairs)
        energies = 0.5 * (repulsion * sixth - attraction) * sixth * envelope
        if AtomicDataDict.PER_ATOM_ENERGY_KEY in data:
            # Where images of atoms are atoms of their own, energies may be known for the first atoms only.
            before = data[AtomicDataDict.PER_ATOM_ENERGY_KEY]
            data[AtomicDataDict.PER_ATOM_ENERGY_KEY] = before + scatter(
                energies.unsqueeze(-1), centres, dim=0, dim_size=before.size(0)
            )
        else:
            data[AtomicDataDict.PER_ATOM_ENERGY_KEY] = scatter(
                energies.unsqueeze(-1), centres, dim=0, dim_size=AtomicDataDict.num_nodes(data)
            )
        return data
