"""Files of an OPES bias: deposited kernels (FILE) and the state for restarts (STATE_WFILE, STATE_RFILE).

The formats are those of PLUMED, so that either program can restart from a state of the other.
"""

from __future__ import annotations

import math
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.kernels import Kernel, KernelDensity
from aiida_sicmlip.science.bias.opes import Opes
from aiida_sicmlip.science.bias.tables import FULL_PRECISION, Table, TableWriter, back_up, header, read_table

_ZED_ACCURACY = 1e-5
"""Relative accuracy of the normalisation in a state, which is updated from kernel to kernel."""
_SETTINGS = ("biasfactor", "epsilon", "kernel_cutoff", "compression_threshold")


class OpesFiles:
    """Writer of the deposited kernels and the states of a bias.

    :param action: name of the action.
    :param names: of the arguments.
    :param kernels_file: file of the kernels.
    :param state_file: file of the state; None: no states.
    :param append: whether to append to existing files, instead of backing them up.
    :param fmt: format of numbers.
    """

    def __init__(
        self,
        opes: Opes,
        action: str,
        names: Sequence[str],
        *,
        kernels_file: Path,
        state_file: Path | None,
        append: bool,
        fmt: str = FULL_PRECISION,
    ):
        self._opes = opes
        self._action = action
        self._names = list(names)
        self._fmt = fmt
        self._state_file = state_file
        self._append = append
        self._kernels = TableWriter(kernels_file, append=append)
        self._time = 0.0
        opes.on_deposit = self._write_kernel

    def open(self) -> None:
        """Open the file of kernels; existing files are appended to or backed up.

        :raises InputError: if a file cannot be written.
        """
        if self._state_file is not None and not self._append:
            back_up(self._state_file)
        self._kernels.open()

    def update(self, time: float) -> None:
        """Set the time of the step, in the units of plumed.dat, before the bias is updated."""
        self._time = time

    def write_state(self) -> None:
        """Write the state. The file is replaced atomically; the previous state is kept as `bck.last.NAME`."""
        if self._state_file is None:
            return
        kernels = self._opes.kernels
        lines = [header(["time", *self._columns(), "height"], self._constants("state") | self._state(), self._fmt)]
        for height, center, sigma in zip(kernels.heights, kernels.centers, kernels.sigmas, strict=True):
            lines.append(self._row([self._time, *center, *sigma, height]) + "\n")
        temporary = self._state_file.with_name(f"{self._state_file.name}.new")
        temporary.write_text("".join(lines))
        if self._state_file.exists():
            shutil.copyfile(self._state_file, self._state_file.with_name(f"bck.last.{self._state_file.name}"))
        temporary.replace(self._state_file)

    def close(self) -> None:
        """Close the files."""
        self._kernels.close()

    def _write_kernel(self, kernel: Kernel, log_weight: float) -> None:
        row = self._row([self._time, *kernel.center, *kernel.sigma, kernel.height, log_weight])
        self._kernels.write(row, ["time", *self._columns(), "height", "logweight"], self._constants("kernels"))

    def _row(self, numbers: Sequence[float]) -> str:
        return "".join(self._fmt % number for number in numbers)

    def _columns(self) -> list[str]:
        return [*self._names, *(f"sigma_{name}" for name in self._names)]

    def _constants(self, content: str) -> dict[str, str | int | float]:
        settings = self._opes.settings
        values = (settings.biasfactor, settings.epsilon, settings.cutoff, settings.threshold)
        return {"action": f"{self._action}_{content}", **dict(zip(_SETTINGS, values, strict=True))}

    def _state(self) -> dict[str, str | int | float]:
        state = self._opes.state
        values: dict[str, str | int | float] = {
            "zed": state.zed,
            "sum_weights": state.sum_weights,
            "sum_weights2": state.sum_weights2,
            "counter": state.counter,
        }
        fluctuations = state.fluctuations
        if fluctuations is not None and state.sigma0 is not None:
            values["adaptive_counter"] = fluctuations.count
            for index, name in enumerate(self._names):
                values[f"sigma0_{name}"] = float(state.sigma0[index])
                values[f"av_cv_{name}"] = float(fluctuations.mean[index])
                values[f"av_M2_{name}"] = float(fluctuations.squares[index])
        return values


def _read_state(path: Path, action: str, names: Sequence[str], where: str) -> Table:
    """Return the table of one whole state of a bias, with finite numbers.

    :raises InputError: as :func:`restore_state`.
    """
    if not path.is_file():
        raise InputError(
            f"{where}: with RESTART the state file `{path}` (STATE_RFILE) is needed, but it does not exist."
        )
    table = read_table(path)
    if not table.complete:
        raise InputError(f"{where}: `{path}` (STATE_RFILE) ends within a line; give a complete state.")
    if len(table.headers) > 1:
        raise InputError(
            f"{where}: `{path}` (STATE_RFILE) holds {len(table.headers)} states, as STORE_STATES appends them; give "
            f"one of them, the last for instance: `tail -n +{table.headers[-1]} {path.name}`."
        )
    content = table.constants.get("action")
    if content != f"{action}_state":
        raise InputError(f"{where}: `{path}` (STATE_RFILE) is of `{content}`; give a state file of `{action}`.")
    expected = ["time", *names, *(f"sigma_{name}" for name in names), "height"]
    if list(table.columns) != expected:
        raise InputError(
            f"{where}: `{path}` has the columns {', '.join(table.columns)}, but the arguments of the bias are "
            f"{', '.join(names)}; give the state of this bias."
        )

    for name, column in table.columns.items():
        is_positive = name == "height" or name.startswith("sigma_")
        if not np.isfinite(column).all() or (is_positive and (column <= 0).any()):
            raise InputError(
                f"{where}: `{path}` has a value of `{name}` that is not a finite number"
                f"{' above zero' if is_positive else ''}; give an undamaged state."
            )
    return table


def restore_state(opes: Opes, action: str, names: Sequence[str], path: Path, where: str) -> None:
    """Restore the state of a file of this package or of PLUMED, with a warning for settings that differ.

    :param where: action, for messages.
    :raises InputError: if the file does not exist, is incomplete, holds several states or impossible numbers, or is of
        a different bias.
    """
    table = _read_state(path, action, names, where)

    def number(name: str, above: float = -math.inf) -> float:
        try:
            value = float(table.constants[name])
        except (KeyError, ValueError):
            value = math.nan
        if not above < value < math.inf:
            bound = "" if math.isinf(above) else f" above {above:g}"
            raise InputError(f"{where}: `{path}` has no number{bound} after `#! SET {name}`; give a complete state.")
        return value

    settings, state = opes.settings, opes.state
    values = (settings.biasfactor, settings.epsilon, settings.cutoff, settings.threshold)
    for name, now in zip(_SETTINGS, values, strict=True):
        before = number(name)
        if now != before and abs(now - before) > 1e-6 * now:
            warnings.warn(f"{where}: {name} was {before:g} in `{path}` and is {now:g} now.", stacklevel=2)
    state.zed, state.counter = number("zed", 0), int(number("counter", 0))
    state.sum_weights, state.sum_weights2 = number("sum_weights", 0), number("sum_weights2", 0)
    if state.fluctuations is not None:
        state.fluctuations.count = int(number("adaptive_counter", -1))
        state.fluctuations.mean = np.array([number(f"av_cv_{name}") for name in names])
        state.fluctuations.squares = np.array([number(f"av_M2_{name}") for name in names])
        state.sigma0 = np.array([number(f"sigma0_{name}") for name in names])
    centers = np.stack([table.columns[name] for name in names], axis=1)
    sigmas = np.stack([table.columns[f"sigma_{name}"] for name in names], axis=1)
    heights = table.columns["height"]
    if not len(heights) and state.counter > 1:
        raise InputError(f"{where}: `{path}` has no kernels, but its counter is {state.counter}; give a whole state.")
    kernels = [Kernel(*row) for row in zip(map(float, heights), centers, sigmas, strict=True)]
    opes.kernels.restore(kernels, state.zed * opes.norm * len(kernels))
    if settings.zed and kernels:
        cutoff = number("kernel_cutoff", 0)
        density = KernelDensity(len(names), cutoff=cutoff, threshold=0.0)
        density.restore(kernels, 0.0)
        zed = sum(density.evaluate(center)[0] for center in centers) / opes.norm / len(kernels)
        # FMT may cut digits off, and a run with another cutoff before leaves what this one cuts off kernels.
        n_digits = sum(map(str.isdigit, table.constants["zed"].lower().partition("e")[0].lstrip("0.")))
        accuracy = max(_ZED_ACCURACY, 10.0 ** (2 - n_digits), 10 * math.exp(-0.5 * cutoff**2))
        if abs(zed - state.zed) > accuracy * state.zed:
            raise InputError(
                f"{where}: the {len(kernels)} kernels of `{path}` have the normalisation {zed:g}, but it says `zed` "
                f"{state.zed:g}: kernels are missing or were changed. Give the state as it was written."
            )
