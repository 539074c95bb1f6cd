"""The level of theory of a label, as a node."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_of_theory import differences, without_state


class LevelOfTheoryData(orm.Dict):
    """The settings of a labelling that change its energies and forces, but for charge and spin of the configurations.

    Made by the calcfunction ``derive_level_of_theory`` from the inputs of a labelling from first principles, by
    ``derive_reference_level`` from a reference potential, or given by a user for labels that were computed elsewhere
    (:mod:`aiida_sicmlip.science.labels.level_file`). What is compared and what is not is stated in
    :mod:`aiida_sicmlip.science.labels.level_of_theory`.
    """

    def get_description(self) -> str:
        """Return what `verdi` shows beside the node."""
        level = self.get_dict()
        return f"{level.get('functional')} by {level.get('program')}"

    def differences(self, other: LevelOfTheoryData | dict[str, Any]) -> list[tuple[str, Any, Any]]:
        """Return ``(setting, value here, value there)`` for each setting that differs."""
        settings = other.get_dict() if isinstance(other, orm.Dict) else other
        return differences(self.get_dict(), settings)


def require_same_level(mine: dict[str, Any], other: dict[str, Any], what: str) -> None:
    """Raise :class:`InputError` naming each setting in which a label's level of theory is not the one that is stated.

    Charge and spin, which levels of earlier versions hold, are not compared.

    :param mine: the level that is stated.
    :param other: that of the label.
    :param what: what carries ``other``, as the subject of the message, for example ``label `label_000003```.
    """
    differing = differences(without_state(mine), without_state(other))
    if differing:
        listed = "; ".join(f"`{setting}` is {theirs!r} there and {ours!r} here" for setting, ours, theirs in differing)
        raise InputError(f"{what} was computed at another level of theory: {listed}.")
