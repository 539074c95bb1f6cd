"""What to cite for the programs and methods that stand behind a model."""

from __future__ import annotations

from collections.abc import Iterable

ALWAYS = (
    "Workflows and provenance: S. P. Huber et al., AiiDA 1.0, Sci. Data 7, 300 (2020).",
    "Model: A. Musaelian et al., Learning local equivariant representations for large-scale atomistic dynamics "
    "(Allegro), Nat. Commun. 14, 579 (2023).",
    "Molecular dynamics: A. P. Thompson et al., LAMMPS, Comput. Phys. Commun. 271, 108171 (2022).",
)
BY_INPUT = {
    "quantumespresso.pw": "Labels: P. Giannozzi et al., Quantum ESPRESSO, J. Phys.: Condens. Matter 29, 465901 (2017).",
    "collective_variables": "Collective variables: N. S. M. Herringer et al., PINES, J. Chem. Theory Comput. 20, 178 "
    "(2024).",
    "bias": "Bias: M. Invernizzi and M. Parrinello, OPES-Explore, J. Chem. Theory Comput. 18, 3988 (2022).",
}
"""By program of the labels, or by link label of what explorations took."""


def citations(used: Iterable[str]) -> list[str]:
    """Return what to cite.

    :param used: keys of :data:`BY_INPUT` that apply; others are left out.
    """
    keys = set(used)
    return [*ALWAYS, *(text for key, text in BY_INPUT.items() if key in keys)]
