"""Settings of pw.x: which ones change converged energies and forces, with their defaults and the spellings of values.

Defaults are those of pw.x 6 and 7 (INPUT_PW and `read_namelists.f90` of Quantum ESPRESSO).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiida_sicmlip.common.exceptions import InputError

NAMELISTS = ("CONTROL", "SYSTEM", "ELECTRONS", "IONS", "CELL", "FCP", "RISM")

# Compared settings with their defaults. None: absent means that pw.x takes it from elsewhere, or that it is off.
SYSTEM_DEFAULTS: dict[str, Any] = {
    # Basis and grids
    "ecutwfc": None,
    "ecutrho": None,
    "ecfixed": 0.0,
    "qcutz": 0.0,
    "q2sigma": 0.1,
    "nr1": 0,
    "nr2": 0,
    "nr3": 0,
    "nr1s": 0,
    "nr2s": 0,
    "nr3s": 0,
    # Occupations
    "occupations": "fixed",
    "smearing": "gaussian",
    "degauss": 0.0,
    "one_atom_occupations": False,
    "twochem": False,
    "degauss_cond": 0.0,
    "nelec_cond": 0.0,
    "nbnd_cond": 0,
    # Spin
    "nspin": 1,
    "noncolin": False,
    "lspinorb": False,
    "lforcet": False,
    "tot_magnetization": None,
    "constrained_magnetization": "none",
    "fixed_magnetization": None,
    "lambda": 1.0,
    "b_field": None,
    # Charge, isolation, fields
    "tot_charge": 0.0,
    "assume_isolated": "none",
    "esm_bc": "pbc",
    "esm_w": 0.0,
    "esm_efield": 0.0,
    "esm_nfit": 4,
    "edir": 1,
    "emaxpos": 0.5,
    "eopreg": 0.1,
    "eamp": 0.001,
    "gate": False,
    "zgate": 0.5,
    "relaxz": False,
    "block": False,
    "block_1": 0.45,
    "block_2": 0.55,
    "block_height": 0.1,
    "lgcscf": False,
    "gcscf_mu": None,
    # Functional, exact exchange
    "input_dft": None,
    "exx_fraction": None,
    "screening_parameter": 0.106,
    "exxdiv_treatment": "gygi-baldereschi",
    "x_gamma_extrapolation": True,
    "ecutvcut": 0.0,
    "ecutfock": None,
    "nqx1": 1,
    "nqx2": 1,
    "nqx3": 1,
    "localization_thr": 0.0,
    # Dispersion
    "vdw_corr": "none",
    "london_s6": 0.75,
    "london_rcut": 200.0,
    "london_c6": None,
    "london_rvdw": None,
    "dftd3_version": 3,
    "dftd3_threebody": True,
    "ts_vdw_isolated": False,
    "xdm_a1": 0.6836,
    "xdm_a2": 1.5045,
    # Hubbard (the form before version 7.1; the later card is the argument `hubbard`) and self-interaction corrections
    "lda_plus_u": False,
    "lda_plus_u_kind": 0,
    "hubbard_u": None,
    "hubbard_j0": None,
    "hubbard_alpha": None,
    "hubbard_beta": None,
    "hubbard_j": None,
    "hubbard_v": None,
    "u_projection_type": "atomic",
    "dmft": False,
    "pol_type": "none",
    "sic_gamma": 0.0,
    "sic_energy": False,
    "sci_vb": 0.0,
    "sci_cb": 0.0,
    "starting_magnetization": None,
    "angle1": None,
    "angle2": None,
}
OTHER_DEFAULTS: dict[str, dict[str, Any]] = {
    "CONTROL": {
        "tefield": False,
        "dipfield": False,
        "lelfield": False,
        "nberrycyc": 1,
        "lorbm": False,
        "gate": False,
        "lfcp": False,
        "trism": False,
        "twochem": False,
        "nextffield": 0,
    },
    "ELECTRONS": {
        "real_space": False,
        "tqr": False,
        "tq_smoothing": False,
        "tbeta_smoothing": False,
        "efield": 0.0,
        "efield_cart": None,
    },
}
# Settings of &SYSTEM without influence on converged energies and forces, or given by the structure.
SYSTEM_IGNORED = frozenset(
    [
        "ibrav",
        "celldm",
        "a",
        "b",
        "c",
        "cosab",
        "cosac",
        "cosbc",
        "nat",
        "ntyp",
        "nbnd",
        "space_group",
        "uniqueb",
        "origin_choice",
        "rhombohedral",
        "starting_charge",
        "starting_ns_eigenvalue",
        "nosym",
        "nosym_evc",
        "noinv",
        "no_t_rev",
        "force_symmorphic",
        "use_all_frac",
        "starting_spin_angle",
        "report",
        "ace",
        "ts_vdw_econv_thr",
        "ensemble_energies",
        "gcscf_conv_thr",
        "gcscf_gk",
        "gcscf_gh",
        "gcscf_beta",
        "hub_pot_fix",
        "reserv",
        "reserv_back",
    ]
)
START_OF_SPIN = ("starting_magnetization", "angle1", "angle2")
_SMEARING_NAMES: dict[str, tuple[str, ...]] = {
    "gaussian": ("gaussian", "gauss"),
    "methfessel-paxton": ("methfessel-paxton", "m-p", "mp"),
    "marzari-vanderbilt": ("marzari-vanderbilt", "cold", "m-v", "mv"),
    "fermi-dirac": ("fermi-dirac", "f-d", "fd"),
}
_ISOLATION_NAMES: dict[str, tuple[str, ...]] = {
    "makov-payne": ("makov-payne", "m-p", "mp"),
    "martyna-tuckerman": ("martyna-tuckerman", "m-t", "mt"),
}
_DISPERSION_NAMES: dict[str, tuple[str, ...]] = {
    "grimme-d2": ("grimme-d2", "dft-d"),
    "grimme-d3": ("grimme-d3", "dft-d3"),
    "tkatchenko-scheffler": ("tkatchenko-scheffler", "ts", "ts-vdw"),
    "many-body dispersion": ("many-body dispersion", "mbd", "mbd_vdw"),
    "xdm": ("xdm",),
}
ALIASES: dict[str, dict[str, tuple[str, ...]]] = {
    "smearing": _SMEARING_NAMES,
    "assume_isolated": _ISOLATION_NAMES,
    "vdw_corr": _DISPERSION_NAMES,
}
# Short names of functionals by the components that QE spells out (Modules/funct.f90).
FUNCTIONALS = {
    "SLA PW PBX PBC": "PBE",
    "SLA PW PSX PSC": "PBESOL",
    "SLA PZ NOGX NOGC": "PZ",
    "SLA PZ": "PZ",
    "LDA": "PZ",
    "SLA PW NOGX NOGC": "PW",
    "SLA LYP B88 BLYP": "BLYP",
    "SLA LYP B88 LYP": "BLYP",
    "SLA PW RPB PBC": "RPBE",
    "SLA PW REVX PBC": "REVPBE",
    "PB0X PW PB0X PBC": "PBE0",
    "SLA PW PBE PBE": "PBE",
}
LOGICALS = {
    ".true.": True,
    ".t.": True,
    "true": True,
    "t": True,
    ".false.": False,
    ".f.": False,
    "false": False,
    "f": False,
}


def canonical_namelists(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return namelists with their names in capitals and keywords in lower case, those that differ in case as one.

    What is no mapping is returned as it is, for the checks to name it.

    :raises InputError: if a keyword is given twice.
    """
    canonical: dict[str, Any] = {}
    given: dict[tuple[str, str], str] = {}
    for name, content in parameters.items():
        namelist = str(name).upper()
        if not isinstance(content, Mapping):
            canonical[name if namelist not in NAMELISTS else namelist] = content
            continue
        merged = canonical.setdefault(namelist if namelist in NAMELISTS else name, {})
        for key, value in content.items():
            keyword = str(key).lower()
            written = f"{name}.{key}"
            if (namelist, keyword) in given:
                raise InputError(
                    f"`{given[namelist, keyword]}` and `{written}` are the same keyword of pw.x, whatever its case; "
                    "keep one."
                )
            given[namelist, keyword] = written
            if isinstance(merged, dict):
                merged[keyword] = value
    return canonical
