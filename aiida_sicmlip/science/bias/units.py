"""Units of plumed.dat (action UNITS), and their conversion to eV, A and ps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.directives import Keywords

#: One eV in kJ/mol, as in PLUMED and in `fix plumed` of LAMMPS.
EV_IN_KJ_MOL = 96.48530749925792
#: Boltzmann's constant in kJ/mol/K, with the value of PLUMED, on which bias factors depend.
BOLTZMANN_KJ_MOL = 0.0083144621

#: Units by their names in PLUMED, in kJ/mol, nm and ps.
ENERGIES = {"kj/mol": 1.0, "j/mol": 0.001, "kcal/mol": 4.184, "eV": EV_IN_KJ_MOL, "Ha": 2625.499638}
LENGTHS = {"nm": 1.0, "A": 0.1, "um": 1000.0, "Bohr": 0.052917721067}
TIMES = {"ps": 1.0, "fs": 0.001, "ns": 1000.0, "atomic": 2.418884326509e-5}


@dataclass(frozen=True)
class Units:
    """Units of the numbers in plumed.dat and its files; the defaults are those of PLUMED.

    energy_kj_mol: unit of energy, kJ/mol.
    length_nm: unit of length, nm.
    time_ps: unit of time, ps.
    """

    energy_kj_mol: float = 1.0
    length_nm: float = 1.0
    time_ps: float = 1.0

    @classmethod
    def from_keywords(cls, keywords: Keywords) -> Units:
        """Read the action UNITS.

        :raises InputError: for a unit that PLUMED does not have.
        """
        units = cls(
            energy_kj_mol=unit_size(keywords.text("ENERGY", "kj/mol"), ENERGIES, f"ENERGY of {keywords.where}"),
            length_nm=unit_size(keywords.text("LENGTH", "nm"), LENGTHS, f"LENGTH of {keywords.where}"),
            time_ps=unit_size(keywords.text("TIME", "ps"), TIMES, f"TIME of {keywords.where}"),
        )
        keywords.finish()
        return units

    @property
    def energy_ev(self) -> float:
        """Unit of energy, eV."""
        return self.energy_kj_mol / EV_IN_KJ_MOL

    @property
    def length_angstrom(self) -> float:
        """Unit of length, A."""
        return self.length_nm / LENGTHS["A"]

    def kt(self, temperature: float) -> float:
        """Return k_B T in the unit of energy.

        :param temperature: K.
        """
        return BOLTZMANN_KJ_MOL / self.energy_kj_mol * temperature


def unit_size(text: str, known: Mapping[str, float], field: str) -> float:
    """Return a unit, given by its name or as a number, in the default unit of PLUMED.

    :param known: units by name.
    :param field: for messages.
    :raises InputError: if it is neither a known name nor a positive number.
    """
    if text in known:
        return known[text]
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        names = ", ".join(f"`{name}`" for name in known)
        raise InputError(f"{field} is `{text}`; give one of {names}, or a positive number.")
    return value
