"""The level of theory of a label, as a node."""

from __future__ import annotations

from typing import Any

from aiida import orm

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.labels.level_of_theory import differences, is_of_potential


class LevelOfTheoryData(orm.Dict):
    """The settings of a labelling that change its energies and forces.

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
    """Raise :class:`InputError` naming each setting in which two levels of theory differ.

    :param what: what carries ``other``, as the subject of the sentence, for example ``label `label_000003```.
    """
    found = differences(mine, other)
    if found:
        if is_of_potential(mine) != is_of_potential(other):
            theirs, ours = (
                f"{'a classical potential' if is_of_potential(level) else 'first principles'} ({level['functional']})"
                for level in (other, mine)
            )
            raise InputError(
                f"{what} was labelled by {theirs}, and what is here by {ours}: their energies have different zeros and "
                "their forces belong to different energy surfaces, so that no potential fits both. Keep the labels in "
                "a data set of their own."
            )
        listed = "; ".join(f"`{setting}` is {theirs!r} there and {ours!r} here" for setting, ours, theirs in found)
        raise InputError(
            f"{what} was computed at another level of theory: {listed}. A data set holds one level of theory only; "
            "keep the labels in a data set of their own or compute them again with the same settings."
        )
