"""The action PYTORCH_MODEL: collective variables that a TorchScript file computes in single precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError


class TorchModel:
    """A TorchScript model of n numbers, called as PLUMED calls it: float32, input (1, n), output (1, m)."""

    def __init__(self, path: Path, n_inputs: int, where: str):
        """Load the model and count its outputs.

        :raises InputError: when the file is missing, is no TorchScript, or does not take ``n_inputs`` numbers;
            ``where`` names the action.
        """
        import torch

        self._torch = torch
        if not path.is_file():
            raise InputError(f"{where}: the model file `{path}` does not exist; `FILE=` names a TorchScript file.")
        try:
            self._model: Any = torch.jit.load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            raise InputError(f"{where}: `{path}` is no TorchScript file that torch can load: {error}") from error
        # Only gradients in the input are asked for; without those of the weights the way back is a fifth shorter.
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._input: Any = None
        self._output: Any = None
        try:
            self.n_outputs = len(self.evaluate(np.ones(n_inputs)))
        except RuntimeError as error:
            raise InputError(
                f"{where}: the model `{path}` does not take {n_inputs} numbers, as many as `ARG=` gives: "
                f"{str(error).strip().splitlines()[-1]}"
            ) from error
        output: Any = self._output
        if output.dtype != torch.float32 or output.ndim != 2:
            raise InputError(
                f"{where}: the model `{path}` gives {output.dtype} of shape {tuple(output.shape)} for an "
                "input of shape (1, n); it must give float32 of shape (1, m)."
            )

    def evaluate(self, arguments: np.ndarray) -> np.ndarray:
        """Return the outputs (m,) for arguments (n,)."""
        tensor = self._torch.from_numpy(arguments.astype(np.float32)[None, :])
        self._input = tensor.requires_grad_(True)
        # The optimiser of TorchScript would rewrite the model after its first calls: that costs more than it gives with
        # networks of this size, and the same input would give other digits early in a run than late.
        with self._torch.jit.optimized_execution(False):
            self._output = self._model(self._input)
        return self._output.detach().numpy().astype(np.float64).reshape(-1)

    def pull_back(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient (n,) in the arguments of the last call for the gradient (m,) in its outputs."""
        # Scaled to one: a steep bias would overflow single precision, a flat one lose digits.
        scale = float(np.abs(gradient).max())
        if scale == 0:
            return np.zeros(self._input.shape[1])
        weights = self._torch.from_numpy((gradient / scale).astype(np.float32)[None, :])
        (result,) = self._torch.autograd.grad(self._output, self._input, weights)
        return scale * result.numpy().astype(np.float64).reshape(-1)
