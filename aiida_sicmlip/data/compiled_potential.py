"""A potential compiled for one kind of machine, as a node."""

from __future__ import annotations

from typing import Any

from aiida.common.exceptions import ValidationError

from aiida_sicmlip.data.potential import ModelFileData


class CompiledPotentialData(ModelFileData):
    """A compiled NequIP or Allegro model (``*.nequip.pt2``).

    It runs only where device, GPU architecture and torch version agree with those it was compiled for; the programs
    check that again when they load it. Its creator is the ``CompilationCalculation`` that took the portable model.
    """

    def __init__(
        self,
        file: Any,
        filename: str | None = None,
        *,
        species: list[str] | None = None,
        cutoff: float | None = None,
        device: str = "cpu",
        target: str = "pair_allegro",
        torch_version: str | None = None,
        gpu_architecture: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Construct an unstored node; ``cutoff`` in A, ``species`` in the order of the model's types."""
        super().__init__(file, filename=filename, **kwargs)
        self.base.attributes.set_many(
            {
                "species": species,
                "cutoff": cutoff,
                "device": device,
                "target": target,
                "torch_version": torch_version,
                "gpu_architecture": gpu_architecture,
            }
        )

    @property
    def device(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.base.attributes.get("device")

    @property
    def target(self) -> str:
        """What calls the model: ``pair_allegro`` (LAMMPS) or ``ase``."""
        return self.base.attributes.get("target")

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        return f"{super().get_description()}, for {self.target} on {self.device}"

    def _validate(self) -> bool:
        super()._validate()
        for key in ("device", "target"):
            if not self.base.attributes.get(key, None):
                raise ValidationError(f"`{key}` is missing from the compiled potential.")
        return True
