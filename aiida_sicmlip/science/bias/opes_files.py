"""Files of an OPES bias: deposited kernels (FILE) and the state for restarts (STATE_WFILE, STATE_RFILE).

The formats are those of PLUMED, so that either program can restart from a state of the other.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.bias.kernels import Kernel
from aiida_sicmlip.science.bias.opes import Opes
from aiida_sicmlip.science.bias.tables import FULL_PRECISION, TableWriter, back_up, header, read_table

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


def restore_state(opes: Opes, action: str, names: Sequence[str], path: Path, where: str) -> None:
    """Restore the state of a file of this package or of PLUMED, with a warning for settings that differ.

    :param where: action, for messages.
    :raises InputError: if the file does not exist, is incomplete, or is of a different bias.
    """
    if not path.is_file():
        raise InputError(
            f"{where}: with RESTART the state file `{path}` (STATE_RFILE) is needed, but it does not exist."
        )
    table = read_table(path)
    content = table.constants.get("action")
    if content != f"{action}_state":
        raise InputError(f"{where}: `{path}` (STATE_RFILE) is of `{content}`; give a state file of `{action}`.")
    expected = ["time", *names, *(f"sigma_{name}" for name in names), "height"]
    if list(table.columns) != expected:
        raise InputError(
            f"{where}: `{path}` has the columns {', '.join(table.columns)}, but the arguments of the bias are "
            f"{', '.join(names)}; give the state of this bias."
        )

    def number(name: str) -> float:
        try:
            return float(table.constants[name])
        except (KeyError, ValueError):
            raise InputError(f"{where}: `{path}` has no number after `#! SET {name}`; give a complete state.") from None

    settings, state = opes.settings, opes.state
    values = (settings.biasfactor, settings.epsilon, settings.cutoff, settings.threshold)
    for name, now in zip(_SETTINGS, values, strict=True):
        before = number(name)
        if now != before and abs(now - before) > 1e-6 * now:
            warnings.warn(f"{where}: {name} was {before:g} in `{path}` and is {now:g} now.", stacklevel=2)
    state.zed, state.counter = number("zed"), int(number("counter"))
    state.sum_weights, state.sum_weights2 = number("sum_weights"), number("sum_weights2")
    if state.fluctuations is not None:
        state.fluctuations.count = int(number("adaptive_counter"))
        state.fluctuations.mean = np.array([number(f"av_cv_{name}") for name in names])
        state.fluctuations.squares = np.array([number(f"av_M2_{name}") for name in names])
        state.sigma0 = np.array([number(f"sigma0_{name}") for name in names])
    centers = np.stack([table.columns[name] for name in names], axis=1)
    sigmas = np.stack([table.columns[f"sigma_{name}"] for name in names], axis=1)
    heights = table.columns["height"]
    kernels = [Kernel(*row) for row in zip(map(float, heights), centers, sigmas, strict=True)]
    opes.kernels.restore(kernels, state.zed * opes.norm * len(kernels))
