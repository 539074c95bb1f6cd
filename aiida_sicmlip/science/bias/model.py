"""Action PYTORCH_MODEL: collective variables computed by a TorchScript model in single precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from aiida_sicmlip.common.exceptions import InputError


class TorchModel:
    """TorchScript model that is called as in PLUMED: float32, input (1, n), output (1, m)."""

    def __init__(self, path: Path, n_inputs: int, where: str):
        """Load the model and determine the number of its outputs.

        :param path: TorchScript file.
        :param n_inputs: number of inputs, n.
        :param where: action, for messages.
        :raises InputError: if the file does not exist, is not TorchScript, or does not accept ``n_inputs`` numbers.
        """
        import torch

        self._torch = torch
        if not path.is_file():
            raise InputError(f"{where}: the model file `{path}` does not exist; give a TorchScript file as `FILE=`.")
        try:
            self._model: Any = torch.jit.load(str(path), map_location="cpu").eval()
        except RuntimeError as error:
            raise InputError(f"{where}: `{path}` cannot be loaded as TorchScript: {error}") from error
        # Gradients with respect to the weights are not needed; without them the backward pass takes a fifth less time.
        for parameter in self._model.parameters():
            parameter.requires_grad_(False)
        self._input: Any = None
        self._output: Any = None
        try:
            self.n_outputs = len(self.evaluate(np.ones(n_inputs)))
        except RuntimeError as error:
            raise InputError(
                f"{where}: the model `{path}` does not accept {n_inputs} numbers, the number of arguments in `ARG=`: "
                f"{str(error).strip().splitlines()[-1]}"
            ) from error
        output: Any = self._output
        if output.dtype != torch.float32 or output.ndim != 2:
            raise InputError(
                f"{where}: the model `{path}` returns {output.dtype} of shape {tuple(output.shape)} for an "
                "input of shape (1, n); it must return float32 of shape (1, m)."
            )

    def evaluate(self, arguments: np.ndarray) -> np.ndarray:
        """Return the outputs (m,) for arguments (n,)."""
        tensor = self._torch.from_numpy(arguments.astype(np.float32)[None, :])
        self._input = tensor.requires_grad_(True)
        # The optimiser of TorchScript recompiles the model after its first calls, which takes more time than it saves
        # for networks of this size, and changes the last digits of the results during a run.
        with self._torch.jit.optimized_execution(False):
            self._output = self._model(self._input)
        return self._output.detach().numpy().astype(np.float64).reshape(-1)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Return the gradient with respect to the arguments of the last call, (n,).

        :param gradient: with respect to its outputs, (m,).
        """
        # The gradient is scaled, since single precision would overflow for steep biases and lose digits for flat ones.
        scale = float(np.abs(gradient).max())
        if scale == 0:
            return np.zeros(self._input.shape[1])
        weights = self._torch.from_numpy((gradient / scale).astype(np.float32)[None, :])
        (result,) = self._torch.autograd.grad(self._output, self._input, weights)
        return scale * result.numpy().astype(np.float64).reshape(-1)
