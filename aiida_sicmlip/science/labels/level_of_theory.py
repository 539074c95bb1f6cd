"""The level of theory of a labelling by pw.x: every setting that changes converged energies and forces, normalised.

The energies and forces of two labels are on the same energy surface only if their level of theory, their charge and
their spin agree. The level defines how electrons are treated:

* program, functional, pseudopotentials (by content, md5) and k-points;
* cutoffs, grids and other parameters of the plane-wave basis;
* occupations, with smearing and width where occupations are smeared;
* treatment of spin: nspin, non-collinear, spin-orbit, constraints on the magnetisation;
* isolation of charged cells, external fields and charged gates;
* dispersion corrections, exact exchange, Hubbard corrections with their parameters.

It does not contain the numbers of electrons of either spin: charge and spin belong to each configuration
(:mod:`aiida_sicmlip.science.labels.states`). `tot_charge` and `tot_magnetization` are removed where they are integers;
a fractional one, which a charge or spin of a configuration cannot represent, remains a setting of the level.

Settings that only affect whether and how self-consistency is reached are left out: mixing, diagonalisation, starting
guesses, number of bands, conv_thr, use of symmetry, output and disk settings. Error handlers of a work chain change
those.

`starting_magnetization` counts only where the magnetisation is free (nspin 2 or non-collinear without
`tot_magnetization`) or where it is the target of a constraint: with a free moment the initial value determines the
magnetic solution, and so the energy surface of the label. With a fixed total magnetisation it is only an initial guess.

Unknown settings of &SYSTEM are compared too, since they might affect energies. Defaults of pw.x are filled in
(:mod:`aiida_sicmlip.science.labels.pw_settings`): an explicit default equals an absent one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.labels.pw_settings import (
    ALIASES,
    FUNCTIONALS,
    LOGICALS,
    NAMELISTS,
    OTHER_DEFAULTS,
    START_OF_SPIN,
    SYSTEM_DEFAULTS,
    SYSTEM_IGNORED,
)

POTENTIAL_PROGRAM = "lammps"
"""Program of labels by a classical potential."""
POTENTIAL_FILE = "potential_md5"
"""Their one setting."""
STATE_SETTINGS = ("tot_charge", "tot_magnetization")
"""Settings that state the charge and the spin of a configuration."""


def pw_level_of_theory(
    parameters: Mapping[str, Any],
    pseudopotentials: Mapping[str, Mapping[str, Any]],
    kpoints: Mapping[str, Any] | Sequence[Sequence[float]],
    program: str,
    *,
    hubbard: Any = None,
) -> dict[str, Any]:
    """Return the normalised level of theory of a pw.x labelling; the module's docstring defines its content.

    :param parameters: namelists of the pw.x input, `{"SYSTEM": {"ecutwfc": 30, ...}, ...}`; case does not matter.
    :param pseudopotentials: for each kind its `md5`, and optionally `element` (default: the kind without digits) and
        `functional` (from :func:`functional_of_pseudopotential`), used where `input_dft` is absent.
    :param kpoints: `{"mesh": [n, n, n], "offset": [0, 0, 0]}`, `{"distance": d}` (1/A), or a list of points of three
        numbers (with a fourth, the weight). One Gamma point as a list equals the mesh of one point.
    :param program: name of the program; compared as given, so include a version only if versions must not be mixed.
    :param hubbard: JSON-serialisable content of a HUBBARD card, compared as given.
    :return: a dict of plain JSON types with keys `program`, `functional`, `pseudopotentials`, `kpoints`, `hubbard` and
        `settings`. Energies in `settings` are in Ry. Settings at their default are left out.
    :raises InputError: when the plane-wave cutoff is missing, a namelist is unknown or a value contradicts itself.
    """
    settings = _pw_settings(parameters)
    pseudos, functional = _normalised_pseudopotentials(pseudopotentials)
    if "input_dft" in settings:
        functional = normalised_functional(str(settings.pop("input_dft")))
    return without_state(
        {
            "program": str(program),
            "functional": functional,
            "pseudopotentials": pseudos,
            "kpoints": normalised_kpoints(kpoints),
            "hubbard": hubbard,
            "settings": dict(sorted(settings.items())),
        }
    )


def pw_charge_and_spin(parameters: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return total charge (e) and spin of a calculation of pw.x, see :func:`charge_and_spin`.

    :param parameters: as of :func:`pw_level_of_theory`.
    """
    return charge_and_spin({"program": "quantumespresso.pw", "settings": _pw_settings(parameters)})


def charge_and_spin(level: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return total charge (e) and spin (number of unpaired electrons) that settings of a level imply.

    The charge is `tot_charge`, 0 where it is absent; None where it is no integer or variable (`lgcscf`, `lfcp`). The
    spin is the absolute value of `tot_magnetization`; 0 for pw.x without spin polarisation;
    else None: the magnetisation was free. Both are None for a classical potential, which has no electrons.

    :param level: with `tot_charge` and `tot_magnetization` among its settings, as in data sets with one charge and
        spin.
    """
    settings = level["settings"]
    if is_of_potential(level):
        return None, None
    free_charge = settings.get("lgcscf") or settings.get("lfcp")
    charge = None if free_charge else whole_number(settings.get("tot_charge", 0))
    if "tot_magnetization" in settings:
        spin = whole_number(settings["tot_magnetization"])
        return charge, None if spin is None else abs(spin)
    unpolarised = str(level.get("program")).startswith("quantumespresso") and settings.get("nspin", 1) == 1
    return charge, 0 if unpolarised else None


def without_state(level: Mapping[str, Any]) -> dict[str, Any]:
    """Return a level of theory without the settings that state an integer charge and spin."""
    settings = level["settings"].items()
    kept = {name: value for name, value in settings if name not in STATE_SETTINGS or whole_number(value) is None}
    return {**level, "settings": kept}


def whole_number(value: Any) -> int | None:
    """Return a number as int if it is an integer, else None."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and float(value).is_integer() else None


def stated_level_of_theory(
    program: str,
    functional: str,
    settings: Mapping[str, Any],
    *,
    pseudopotentials: Mapping[str, str] | None = None,
    kpoints: Mapping[str, Any] | Sequence[Sequence[float]] | None = None,
    hubbard: Any = None,
) -> dict[str, Any]:
    """Return the level of theory of labels by another program than pw.x, in the form of :func:`pw_level_of_theory`.

    Values are normalised, but defaults of the program are unknown: only stated settings are compared. Two levels are
    equal if they state the same.

    :param settings: all settings that change energies and forces. `tot_charge` (e) and `tot_magnetization` (Bohr
        magnetons) state charge and spin of the configurations and are removed.
    :param pseudopotentials: a name for each element; none for programs without.
    :param kpoints: as in :func:`pw_level_of_theory`; None where there is none.
    :raises InputError: when a name is no text or a value is of the wrong type.
    """
    for key, text in (("program", program), ("functional", functional)):
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"`{key}` is {text!r}: give its name.")
    for key, mapping in (("settings", settings), ("pseudopotentials", pseudopotentials or {})):
        if not isinstance(mapping, Mapping):
            raise InputError(f"`{key}` is {mapping!r}: give a mapping, such as `{{encut: 500.0}}` for settings.")
    if kpoints is not None and (isinstance(kpoints, str) or not isinstance(kpoints, (Mapping, Sequence))):
        raise InputError(f"`kpoints` is {kpoints!r}: give `{{mesh: [1, 1, 1]}}`, for instance.")
    normalised = {str(key).lower(): _normalised_value(value) for key, value in settings.items()}
    for key in ("tot_charge", "tot_magnetization"):
        if key in normalised and not isinstance(normalised[key], float):
            raise InputError(f"`settings.{key}` is {settings.get(key)!r}: give a number.")
    level = {
        "program": program.strip(),
        "functional": normalised_functional(functional),
        "pseudopotentials": {str(name): str(entry) for name, entry in sorted((pseudopotentials or {}).items())},
        "kpoints": None if kpoints is None else normalised_kpoints(kpoints),
        "hubbard": hubbard,
        "settings": dict(sorted(_not_default(normalised, {}, unknown_too=True).items())),
    }
    return without_state(level)


def potential_level_of_theory(pair_style: str, md5: str) -> dict[str, Any]:
    """Return the level of theory of labels by a classical potential, in the form of :func:`pw_level_of_theory`.

    Energies and forces are determined by the pair style of LAMMPS and the content of the potential's file; its name is
    ignored. Such labels are never at the level of those from first principles.

    :param md5: of the content of the file.
    """
    return stated_level_of_theory(POTENTIAL_PROGRAM, pair_style, {POTENTIAL_FILE: md5})


def is_of_potential(level: Mapping[str, Any]) -> bool:
    """Return whether a level of theory is that of a classical potential."""
    return level.get("program") == POTENTIAL_PROGRAM and POTENTIAL_FILE in level.get("settings", {})


def species_without_pseudopotential(level: Mapping[str, Any], species: Sequence[str]) -> list[str]:
    """Return the elements of ``species`` without a pseudopotential in a level of theory that has some."""
    listed = {re.sub(r"[\d_]+.*$", "", kind) for kind in level["pseudopotentials"]}
    return [symbol for symbol in species if listed and symbol not in listed]


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return the differences of two levels of theory as (setting, value in the first, value in the second).

    Values left out of a level are given as the default of pw.x. An element with a pseudopotential in only one level is
    a difference too. An empty list means that labels of both may be mixed.
    """
    defaults = {**SYSTEM_DEFAULTS, **{key: value for each in OTHER_DEFAULTS.values() for key, value in each.items()}}
    found = []
    for name in sorted(set(first) | set(second)):
        a, b = first.get(name), second.get(name)
        if name in ("settings", "pseudopotentials") and isinstance(a, Mapping) and isinstance(b, Mapping):
            for key in sorted(set(a) | set(b)):
                default = defaults.get(key) if name == "settings" else None
                if a.get(key, default) != b.get(key, default):
                    label = key if name == "settings" else f"pseudopotential of {key}"
                    found.append((label, a.get(key, default), b.get(key, default)))
        elif a != b:
            found.append((name, a, b))
    return found


def functional_of_pseudopotential(content: str) -> str | None:
    """Return the functional that the header of a UPF file (version 1 or 2) names, normalised; None if it names none."""
    found = re.search(r"<PP_HEADER[^>]*\bfunctional\s*=\s*[\"']([^\"']+)[\"']", content)
    if found is None:
        found = re.search(r"^(.*?)\s*Exchange-Correlation functional", content, flags=re.MULTILINE)
        if found is None:
            return None
        # Version 1 gives four components and then a short name; a few give the name alone.
        words = found[1].split()
        return normalised_functional(" ".join(words[:4]) if len(words) > 4 else " ".join(words))
    return normalised_functional(found[1])


def normalised_functional(name: str) -> str:
    """Return the normalised name of a functional: upper case, short where there is a short name."""
    words = " ".join(re.split(r"[\s+\-]+", name.strip().upper()))
    return FUNCTIONALS.get(words, words)


def normalised_kpoints(kpoints: Mapping[str, Any] | Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return k-points in one of the forms `mesh` and `offset`, `distance`, or `points` and `weights` (sum 1).

    :raises InputError: when the description has none of the forms of :func:`pw_level_of_theory`.
    """
    if isinstance(kpoints, Mapping):
        if "mesh" in kpoints:
            mesh, offset = list(kpoints["mesh"]), list(kpoints.get("offset") or (0, 0, 0))
            if len(mesh) != 3 or len(offset) != 3 or any(int(n) != n or n < 1 for n in mesh):
                raise InputError(
                    f"`kpoints` has the mesh {mesh} and the offset {offset}: give three of each, mesh from 1."
                )
            return {"mesh": [int(n) for n in mesh], "offset": [float(x) % 1.0 for x in offset]}
        if "distance" in kpoints:
            return {"distance": float(kpoints["distance"])}
        raise InputError(f"`kpoints` has the keys {sorted(kpoints)}: give `mesh` and `offset`, `distance`, or a list.")
    points = [[float(x) for x in point] for point in kpoints]
    if not points or any(len(point) not in (3, 4) for point in points):
        raise InputError("`kpoints` as a list needs at least one point of three numbers (with a fourth, the weight).")
    weights = [point[3] if len(point) == 4 else 1.0 for point in points]
    if sum(weights) <= 0:
        raise InputError("`kpoints` has weights whose sum is not positive.")
    if len(points) == 1 and points[0][:3] == [0.0, 0.0, 0.0]:
        return {"mesh": [1, 1, 1], "offset": [0.0, 0.0, 0.0]}
    ordered = sorted((point[:3], weight / sum(weights)) for point, weight in zip(points, weights, strict=True))
    return {"points": [point for point, _ in ordered], "weights": [round(weight, 12) for _, weight in ordered]}


def _normalised_namelists(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return all namelists with lower-case keys and normalised values."""
    result: dict[str, dict[str, Any]] = {name: {} for name in NAMELISTS}
    for name, entries in parameters.items():
        upper = str(name).upper()
        if upper not in result:
            raise InputError(f"`parameters` has the unknown namelist `{name}`. {nearest_name(upper, NAMELISTS)}")
        if not isinstance(entries, Mapping):
            raise InputError(f"`parameters.{name}` is {entries!r}: give the settings of the namelist as a dict.")
        for key, value in entries.items():
            lower, normalised = str(key).lower(), _normalised_value(value)
            if lower in result[upper] and result[upper][lower] != normalised:
                raise InputError(
                    f"`parameters.{name}` has `{lower}` twice, in different spellings and values: keep one."
                )
            result[upper][lower] = normalised
    return result


def _normalised_value(value: Any) -> Any:
    """Return a value in plain JSON types; Fortran's logicals become bool, numbers float, words lower case."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        return LOGICALS.get(word, word)
    if isinstance(value, Mapping):
        return {
            str(key): _normalised_value(entry) for key, entry in sorted(value.items(), key=lambda pair: str(pair[0]))
        }
    if isinstance(value, Sequence):
        return [_normalised_value(entry) for entry in value]
    return _number(value)


def _number(value: Any) -> float:
    """Return a number as float, so that 30 and 30.0 are equal.

    :raises InputError: when it is none.
    """
    try:
        return float(value)
    except (TypeError, ValueError) as exception:
        raise InputError(
            f"`parameters` holds {value!r}, which is no number, word, logical, list or dict."
        ) from exception


def _pw_settings(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the compared settings of all namelists that differ from their default."""
    namelists = _normalised_namelists(parameters)
    settings = _system_settings(namelists["SYSTEM"])
    for namelist, defaults in OTHER_DEFAULTS.items():
        settings.update(_not_default(namelists[namelist], defaults))
    for switch, namelist in (("lfcp", "FCP"), ("trism", "RISM")):
        if settings.get(switch) and namelists[namelist]:
            settings[namelist.lower()] = namelists[namelist]
    return settings


def _system_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the compared settings of &SYSTEM that differ from their default, with dependent ones resolved."""
    system = {key: value for key, value in settings.items() if key not in SYSTEM_IGNORED}
    if not isinstance(system.get("ecutwfc"), float) or system["ecutwfc"] <= 0:
        raise InputError(
            f"`parameters.SYSTEM.ecutwfc` is {system.get('ecutwfc')!r}: give the plane-wave cutoff in Ry, above zero."
        )
    system.setdefault("ecutrho", 4.0 * system["ecutwfc"])
    if system.get("ecutfock") == system["ecutrho"]:
        del system["ecutfock"]
    _resolve_dispersion(system)
    for key, names in ALIASES.items():
        for name, spellings in names.items():
            if system.get(key) in spellings:
                system[key] = name
    if system.get("occupations") != "smearing":
        system.pop("smearing", None)
        system.pop("degauss", None)
    if system.get("noncolin") or system.get("nspin") == 4:
        system.update(nspin=4.0, noncolin=True)
    # Value that means "not given" in pw.x. Before 7.3 it was -1, which is a valid magnetisation since.
    if system.get("tot_magnetization") in (None, -10000.0):
        system.pop("tot_magnetization", None)
    spin_is_free = system.get("nspin", 1) in (2, 4) and "tot_magnetization" not in system
    if not spin_is_free and system.get("constrained_magnetization", "none") == "none":
        for key in START_OF_SPIN:
            system.pop(key, None)
    return _not_default(system, SYSTEM_DEFAULTS, unknown_too=True)


def _resolve_dispersion(system: dict[str, Any]) -> None:
    """Turn the obsolete switches of dispersion corrections into `vdw_corr`."""
    for switch, name in (("london", "grimme-d2"), ("xdm", "xdm")):
        if system.pop(switch, False) and system.get("vdw_corr", "none") == "none":
            system["vdw_corr"] = name
    if system.get("vdw_corr") in ("", "none"):
        system.pop("vdw_corr")


def _not_default(settings: Mapping[str, Any], defaults: Mapping[str, Any], unknown_too: bool = False) -> dict[str, Any]:
    """Return the settings that differ from their default, integers as int where the default is one."""
    kept = {}
    for key, value in settings.items():
        if key not in defaults and not unknown_too:
            continue
        default = defaults.get(key)
        if value is None or (default is not None and value == default):
            continue
        kept[key] = int(value) if type(default) is int and isinstance(value, float) and value.is_integer() else value
    return kept


def _normalised_pseudopotentials(
    pseudopotentials: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, str], str | None]:
    """Return md5 by element (by kind where kinds of one element differ), and the functional of the headers."""
    if not pseudopotentials:
        raise InputError("`pseudopotentials` is empty: give the md5 of each kind's file.")
    by_element: dict[str, dict[str, str]] = {}
    functionals = set()
    for kind, pseudopotential in pseudopotentials.items():
        if not pseudopotential.get("md5"):
            raise InputError(f"`pseudopotentials.{kind}` has no `md5`: give the md5 of the file's content.")
        element = str(pseudopotential.get("element") or re.sub(r"[\d_]+.*$", "", kind))
        by_element.setdefault(element, {})[kind] = str(pseudopotential["md5"])
        if pseudopotential.get("functional"):
            functionals.add(normalised_functional(str(pseudopotential["functional"])))
    result = {}
    for element, kinds in by_element.items():
        result.update({element: next(iter(kinds.values()))} if len(set(kinds.values())) == 1 else kinds)
    # pw.x stops for inconsistent pseudopotentials; the level then keeps both names instead of choosing one.
    return dict(sorted(result.items())), " / ".join(sorted(functionals)) or None
