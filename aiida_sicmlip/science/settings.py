"""Settings given as mappings: read into dataclasses, with a sentence for whatever is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from aiida_sicmlip.common.exceptions import InputError, nearest_name

SettingsType = TypeVar("SettingsType", bound="Settings")


@dataclass(frozen=True)
class Settings:
    """Base of settings that users write as a mapping (YAML, or a ``Dict`` node).

    A subclass names its fields with defaults and checks them in ``__post_init__``; ``PREFIX`` is how the fields are
    called in messages.
    """

    PREFIX = ""

    @classmethod
    def from_mapping(cls: type[SettingsType], mapping: Mapping[str, Any]) -> SettingsType:
        """Read ``mapping``.

        :raises InputError: if a key is unknown (with the nearest known one), or a value is out of its range.
        """
        known = {field.name: field for field in fields(cls)}
        for key in mapping:
            if key not in known:
                raise InputError(f"`{cls.PREFIX}{key}` is not a known setting. {nearest_name(key, known)}")
        return cls(**mapping)

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings."""
        return [field.name for field in fields(cls)]

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, defaults included."""
        return asdict(self)

    def require_number(
        self,
        name: str,
        *,
        positive: bool = False,
        integer: bool = False,
        at_least: float | None = None,
        at_most: float | None = None,
    ) -> None:
        """Raise :class:`InputError` unless field ``name`` is a number in its range."""
        value = getattr(self, name)
        kind = "a whole number" if integer else "a number"
        right_type = isinstance(value, int if integer else (int, float)) and not isinstance(value, bool)
        if not right_type or math.isnan(value):
            raise InputError(f"`{self.PREFIX}{name}` is {value!r}; give {kind}.")
        if positive and value <= 0:
            raise InputError(f"`{self.PREFIX}{name}` is {value!r}; give {kind} above zero.")
        if at_least is not None and value < at_least:
            raise InputError(f"`{self.PREFIX}{name}` is {value!r}; give {kind} of at least {at_least:g}.")
        if at_most is not None and value > at_most:
            raise InputError(f"`{self.PREFIX}{name}` is {value!r}; give {kind} of at most {at_most:g}.")
