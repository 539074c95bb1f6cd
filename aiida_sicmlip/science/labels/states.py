"""Charge, spin and level of theory of each labelled configuration.

`charge` is the total charge of the cell in units of e: pw.x's `tot_charge`, positive where electrons are missing.
None: unknown or not applicable, as for labels by a classical potential.

`spin` is the number of unpaired electrons, that is, the difference of the numbers of electrons of either spin that was
imposed: the absolute value of pw.x's `tot_magnetization` and of VASP's `NUPDOWN`. The multiplicity is `spin` + 1: a
singlet has the spin 0, a triplet 2. A calculation without spin polarisation has the spin 0; its level of theory states
that it is unpolarised. None: the magnetisation was free, unknown or not applicable.

`level` is an index into a list of levels of theory (:mod:`aiida_sicmlip.science.labels.level_of_theory`).

Frames (ASE's `Atoms`) carry the three in `info` as `charge`, `spin` and `level_of_theory`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ase import Atoms

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_of_theory import differences, is_of_potential

CHARGE, SPIN, LEVEL = "charge", "spin", "level_of_theory"
"""Keys of `Atoms.info`."""
NONE = "none"
"""Representation of a missing charge or spin in files and options."""
_MULTIPLETS = ("singlet", "doublet", "triplet", "quartet", "quintet", "sextet", "septet")


@dataclass(frozen=True)
class LabelState:
    """What energy and forces of a configuration depend on besides species, positions and cell; see the module's
    docstring.

    charge: total charge, e.
    spin: number of unpaired electrons.
    level: index of the level of theory.
    """

    charge: int | None = None
    spin: int | None = None
    level: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        for name, value in (("charge", self.charge), ("spin", self.spin), ("level", self.level)):
            if value is None and name != "level":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or (name != "charge" and value < 0):
                least = "" if name == "charge" else " of at least 0"
                nothing = "" if name == "level" else ", or None"
                raise InputError(f"the {name} of a configuration is {value!r}; give a whole number{least}{nothing}.")


@dataclass(frozen=True)
class EnergySurface:
    """Configurations whose energies and forces are one function of species, positions and cell.

    charge: as in :class:`LabelState`.
    spin: as in :class:`LabelState`.
    level: their level of theory.
    n_frames: number of configurations; 0 for future ones.
    """

    charge: int | None
    spin: int | None
    level: Mapping[str, Any]
    n_frames: int = 0


def state_of_frame(frame: Atoms) -> LabelState:
    """Return the state of a frame from `info`; missing charge and spin are None, a missing level 0.

    :raises InputError: if a charge or spin is no integer.
    """
    return LabelState(frame.info.get(CHARGE), frame.info.get(SPIN), frame.info.get(LEVEL, 0))


def set_state(frame: Atoms, state: LabelState) -> None:
    """Store a state in the `info` of a frame."""
    frame.info.update({CHARGE: state.charge, SPIN: state.spin, LEVEL: state.level})


def charge_in_words(charge: int | None) -> str:
    """Return a charge with its sign: ``-1 e``."""
    return "none" if charge is None else f"{charge:+d} e" if charge else "0 e"


def spin_in_words(spin: int | None) -> str:
    """Return a spin with the name of the multiplet: ``2 (triplet)``."""
    if spin is None:
        return "none"
    name = _MULTIPLETS[spin] if spin < len(_MULTIPLETS) else f"multiplicity {spin + 1}"
    return f"{spin} ({name})"


def require_one_surface(sets: Mapping[str, Sequence[EnergySurface]], purpose: str) -> None:
    """Raise :class:`InputError` unless all configurations have one charge, one spin and one level of theory.

    :param sets: energy surfaces by the name of their set, such as ``the training set <5>``.
    :param purpose: subject of the message, such as ``a training``.
    """
    first = next(surface for surfaces in sets.values() for surface in surfaces)
    facts = [
        _fact("the charge", lambda surface: charge_in_words(surface.charge), sets),
        _fact("the spin", lambda surface: spin_in_words(surface.spin), sets),
    ]
    of_potential = _fact(
        "energies and forces are", lambda s: f"{_kind(s.level)} ({s.level.get('functional')})", sets, verb=""
    )
    levels = [surface.level for surfaces in sets.values() for surface in surfaces]
    if len({is_of_potential(level) for level in levels}) > 1:
        facts.append(f"{of_potential}, which have different zeros")
    else:
        changed = {name: here for level in levels for name, here, _ in differences(first.level, level)}
        for name, here in sorted(changed.items()):
            facts.append(_fact(f"`{name}`", _value_of(name, here, first.level), sets))
    found = [fact for fact in facts if fact is not None]
    if found:
        raise InputError(
            f"{purpose} takes configurations of one charge, one spin and one level of theory, as its model "
            f"distinguishes configurations only by species and positions. Here {'; '.join(found)}. Select a subset "
            "with `aiida-sicmlip dataset subset PK --charges N --spins N --levels N`."
        )


def _value_of(name: str, here: Any, first: Mapping[str, Any]) -> Callable[[EnergySurface], str]:
    """Return a function that formats a setting of a level; ``here`` is the value at the first level."""

    def shown(surface: EnergySurface) -> str:
        return repr({key: there for key, _, there in differences(first, surface.level)}.get(name, here))

    return shown


def _kind(level: Mapping[str, Any]) -> str:
    return "from a classical potential" if is_of_potential(level) else "from first principles"


def _fact(
    what: str, shown: Callable[[EnergySurface], str], sets: Mapping[str, Sequence[EnergySurface]], verb: str = " is"
) -> str | None:
    """Return the values of a property, each with the configurations that have it; None where there is one value."""
    holders: dict[str, dict[str, int]] = {}
    for name, surfaces in sets.items():
        for surface in surfaces:
            of_value = holders.setdefault(shown(surface), {})
            of_value[name] = of_value.get(name, 0) + surface.n_frames
    if len(holders) < 2:
        return None
    parts = [
        f"{value} for {' and '.join(_counted(number, name) for name, number in of_value.items())}"
        for value, of_value in holders.items()
    ]
    return f"{what}{verb} {', and '.join(parts)}"


def _counted(number: int, name: str) -> str:
    return f"{number} configuration{'' if number == 1 else 's'} of {name}" if number else name
