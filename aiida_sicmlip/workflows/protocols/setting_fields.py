"""Fields of settings for codes, nodes and job options."""

from __future__ import annotations

from typing import Any

from aiida.engine import CalcJob

from aiida_sicmlip.science.settings import REQUIRED, Setting, described_field, require_known_names, sequence, setting
from aiida_sicmlip.science.value_tests import is_integer, is_mapping, is_number
from aiida_sicmlip.workflows.protocols.resources import SHORT_OPTIONS


class OptionsSetting(Setting):
    """Options of a job: those of AiiDA, and :data:`SHORT_OPTIONS`. Values are checked when the computer is known."""

    def check(self, value: Any, where: str) -> None:
        """Raise :class:`InputError` for an unknown option."""
        super().check(value, where)
        known = [*CalcJob.spec().inputs["metadata"]["options"], *SHORT_OPTIONS]
        require_known_names(value, known, f"{where}.")


def job_options(default: Any = REQUIRED) -> Any:
    """Return a field for the options of a job."""
    return described_field(default, OptionsSetting("options of the jobs", "a mapping of options", is_mapping))


def code_name(default: Any, meaning: str) -> Any:
    """Return a field for a code: a label, PK, UUID or node."""
    return setting(default, meaning, "the label, PK or UUID of a code", is_name)


def node_name(meaning: str) -> Any:
    """Return a field for a node: a PK, UUID, node or null."""
    return setting(None, meaning, "a PK or UUID", is_name)


def is_name(value: Any) -> bool:
    """Return whether ``value`` is a PK, a UUID, a label or a node."""
    return is_integer(value) or (isinstance(value, str) and value != "") or hasattr(value, "uuid")


def _is_temperature(value: Any) -> bool:
    return is_number(value) and value > 0


def temperatures_field() -> Any:
    """Return a field for a list of temperatures."""
    return sequence(
        None,
        "temperatures, each of which gets `walkers` runs from each start structure; replaces `parameters.temperature`",
        "a list of different numbers above zero, such as [1000.0, 1500.0]",
        _is_temperature,
        unit="K",
        different=True,
    )
