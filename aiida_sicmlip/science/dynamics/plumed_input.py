"""The plumed.dat of a biased exploration: OPES-Explore on the variables that a model computes from distances."""

from __future__ import annotations

from collections.abc import Sequence

from aiida_sicmlip.common import filenames
from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.dynamics.bias_settings import BiasSettings
from aiida_sicmlip.science.dynamics.settings import ExplorationSettings

VARIABLES = "cv"
BIAS = "opes"


def variable_name(number: int) -> str:
    """Return the name of a collective variable, counted from 0, in PLUMED's files."""
    return f"{VARIABLES}.node-{number}"


def plumed_input(
    *,
    pairs: Sequence[Sequence[int]],
    n_variables: int,
    bias: BiasSettings,
    exploration: ExplorationSettings,
    model_file: str = filenames.CV_MODEL_FILE,
    previous_state: str | None = None,
) -> str:
    """Return the text of plumed.dat, in A, eV and ps; for PLUMED and the built-in evaluator.

    The state of the bias is written with the states of LAMMPS, every ``exploration.restart_steps(bias.pace)`` steps.

    :param pairs: (P, 2), indices from 0 of the atoms whose distances the model takes, in its order.
    :param model_file: TorchScript file of the model, from P distances to `n_variables` numbers.
    :param previous_state: state of the bias to continue from; None to start.
    :raises InputError: when a setting does not fit the run or the variables, or a pair is none.
    """
    if n_variables < 1 or not len(pairs):
        raise InputError(f"There are {len(pairs)} pairs and {n_variables} variables: at least one of each is needed.")
    bias.check(n_variables, exploration)
    lines = ["UNITS LENGTH=A ENERGY=eV TIME=ps"]
    for number, (first, second) in enumerate(pairs):
        if first == second or min(first, second) < 0:
            raise InputError(f"Pair {number} is {first}, {second}: give the indices of two atoms, from 0.")
        lines.append(f"d{number}: DISTANCE ATOMS={first + 1},{second + 1}")
    variables = [variable_name(number) for number in range(n_variables)]
    distances = ",".join(f"d{number}" for number in range(len(pairs)))
    lines.append(f"{VARIABLES}: PYTORCH_MODEL FILE={model_file} ARG={distances}")
    lines.append(_opes(variables, bias, exploration, previous_state))
    printed = [*variables, f"{BIAS}.*"]
    for label, action in _static_terms(bias):
        lines.append(f"{label}: {action}")
        printed.append(f"{label}.bias")
    interval = exploration.frame_interval if bias.colvar_interval is None else bias.colvar_interval
    lines.append(
        f"PRINT ARG={','.join(printed)} FILE={filenames.COLVAR_FILE} STRIDE={exploration.steps(interval)} FMT=%.10g"
    )
    return "\n".join(lines) + "\n"


def _opes(
    variables: Sequence[str], bias: BiasSettings, exploration: ExplorationSettings, previous_state: str | None
) -> str:
    """Return the line of the bias."""
    keywords: dict[str, str | int | float] = {
        "ARG": ",".join(variables),
        "TEMP": _number(exploration.temperature),
        "PACE": exploration.steps(bias.pace),
        "BARRIER": _number(bias.barrier),
    }
    for name, widths in (("SIGMA", bias.sigma), ("SIGMA_MIN", bias.sigma_min)):
        if widths is not None:
            keywords[name] = ",".join(_number(width) for width in widths)
    if bias.adaptive_sigma_interval is not None:
        keywords["ADAPTIVE_SIGMA_STRIDE"] = exploration.steps(bias.adaptive_sigma_interval)
    for name, value in (("BIASFACTOR", bias.biasfactor), ("COMPRESSION_THRESHOLD", bias.compression_threshold)):
        if value is not None:
            keywords[name] = _number(value)
    keywords["FILE"] = filenames.KERNELS_FILE
    keywords["STATE_WFILE"] = filenames.STATE_FILE
    keywords["STATE_WSTRIDE"] = exploration.restart_steps(bias.pace)
    if previous_state is not None:
        keywords["STATE_RFILE"] = previous_state
        keywords["RESTART"] = "YES"
    return f"{BIAS}: OPES_METAD_EXPLORE " + " ".join(f"{name}={value}" for name, value in keywords.items())


def _static_terms(bias: BiasSettings) -> list[tuple[str, str]]:
    """Return label and action of each wall and restraint."""
    terms = []
    for name, action in (("upper_walls", "UPPER_WALLS"), ("lower_walls", "LOWER_WALLS")):
        for number, wall in enumerate(getattr(bias, name)):
            words = [
                f"{action} ARG={variable_name(wall.variable)} AT={_number(wall.at)} KAPPA={_number(wall.kappa)}",
                f"EXP={_number(wall.exponent)} EPS={_number(wall.eps)}",
            ]
            terms.append((f"{name}_{number}", " ".join(words)))
    for number, restraint in enumerate(bias.restraints):
        action = (
            f"RESTRAINT ARG={variable_name(restraint.variable)} AT={_number(restraint.at)} "
            f"KAPPA={_number(restraint.kappa)} SLOPE={_number(restraint.slope)}"
        )
        terms.append((f"restraint_{number}", action))
    return terms


def _number(value: float) -> str:
    """Return a number that reads back as the same float64."""
    return repr(float(value))
