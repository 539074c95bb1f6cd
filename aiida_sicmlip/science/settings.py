"""Base of all settings that users give as mappings (YAML, JSON, a ``Dict`` node), with descriptions and checks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from aiida_sicmlip.common.exceptions import InputError, nearest_name
from aiida_sicmlip.science.value_tests import is_integer, is_mapping, is_number, is_sequence, number_in_yaml, within

SettingsType = TypeVar("SettingsType", bound="Settings")
REQUIRED: Any = MISSING
"""Default of a setting without a default."""
BOUNDS = ("above", "at_least", "below", "at_most")
"""Options of numbers that :func:`within` takes."""
LARGEST_NUMBER = 1e9
"""Largest size of a number, unless its setting says otherwise: far beyond what means anything in any unit here."""
LARGEST_COUNT = 1_000_000
"""Largest whole number, unless its setting says otherwise: memory and time are claimed by such numbers."""


@dataclass(frozen=True)
class Settings:
    """Base of settings that users give as a mapping.

    A subclass is a frozen dataclass. Each field is created by :func:`number`, :func:`integer`, :func:`choice`,
    :func:`flag`, :func:`text`, :func:`sequence`, :func:`mapping`, :func:`group`, :func:`groups` or :func:`setting`,
    with its default, its meaning, its unit and the accepted values::

        @dataclass(frozen=True)
        class RunSettings(Settings):
            PREFIX = "run."

            temperature: float = number(1500.0, "temperature of the thermostat", unit="K", above=0)
            shell: int | None = integer(None, "shell that is restrained; null: none", at_least=1)
            cell: str = choice("cubic", ("cubic", "primitive"), "cell that is repeated")

            def __post_init__(self) -> None:
                super().__post_init__()
                # Conditions on several settings are checked here.

    A default of None makes a setting nullable. ``PREFIX`` precedes the names of settings in messages. ``ELSEWHERE``
    maps names that are not settings of the class to the source of their values. The reference and the help of ports
    are generated from these descriptions (:meth:`described`, :meth:`summary`).
    """

    PREFIX: ClassVar[str] = ""
    ELSEWHERE: ClassVar[Mapping[str, str]] = {}

    def __post_init__(self) -> None:
        for name, entry in self.described().items():
            # The class is frozen, but this is part of its construction.
            object.__setattr__(self, name, entry.read(getattr(self, name), f"{self.PREFIX}{name}"))

    @classmethod
    def from_mapping(cls: type[SettingsType], mapping: Mapping[str, Any], prefix: str | None = None) -> SettingsType:
        """Return the settings of ``mapping``, with defaults for missing keys.

        :param prefix: path of the settings in messages, such as ``exploration.parameters.``; by default ``PREFIX``.
        :raises InputError: if a key is unknown (with the nearest known one) or missing, or a value is invalid.
        """
        prefix = cls.PREFIX if prefix is None else prefix
        cls.check_given(mapping, prefix)
        for entry in fields(cls):
            if entry.name not in mapping and _default_of(entry) is REQUIRED:
                raise InputError(f"`{prefix}{entry.name}` is missing; give {_setting_of(entry).expected}.")
        return cls(**mapping)

    @classmethod
    def check_given(cls, mapping: Mapping[str, Any], prefix: str | None = None) -> None:
        """Check the names and values of settings that override others, but not conditions on several settings.

        :param prefix: as in :meth:`from_mapping`.
        :raises InputError: if a key is unknown, or a value is invalid.
        """
        prefix = cls.PREFIX if prefix is None else prefix
        if not isinstance(mapping, Mapping):
            name = f"`{prefix.rstrip('.')}`" if prefix else f"the {cls.__name__}"
            raise InputError(f"{name} is {mapping!r}; give settings under it: {', '.join(cls.names())}.")
        for name in cls.ELSEWHERE:
            if name in mapping:
                raise InputError(f"`{prefix}{name}` is taken from {cls.ELSEWHERE[name]}; leave it out.")
        require_known_names(mapping, cls.names(), prefix)
        for name, entry in cls.described().items():
            if name in mapping:
                entry.check(mapping[name], f"{prefix}{name}")

    @classmethod
    def complete(cls, mapping: Mapping[str, Any], prefix: str | None = None) -> dict[str, Any]:
        """Return ``mapping`` with all defaults; parameters and errors are those of :meth:`from_mapping`."""
        return cls.from_mapping(mapping, prefix).to_dict()

    @classmethod
    def names(cls) -> list[str]:
        """Return the names of all settings."""
        return [entry.name for entry in fields(cls)]

    @classmethod
    def described(cls) -> dict[str, Setting]:
        """Return the description of each setting by its name."""
        return {entry.name: _setting_of(entry) for entry in fields(cls)}

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of each setting that has one, in the form of a settings file."""
        defaults = {entry.name: _default_of(entry) for entry in fields(cls)}
        return {name: plain(value) for name, value in defaults.items() if value is not REQUIRED}

    @classmethod
    def summary(cls) -> str:
        """Return the purpose of the settings and their names with units, for the help of a port."""
        first = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
        named = [f"`{name}`" + (f" ({entry.unit})" if entry.unit else "") for name, entry in cls.described().items()]
        return f"{first} Keys: {', '.join(named)}."

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, including defaults, in the form of a settings file."""
        return {name: plain(getattr(self, name)) for name in self.names()}


@dataclass(frozen=True)
class Setting:
    """Description of a setting.

    meaning: for the reference, without its unit.
    accepts: accepted values, in words that follow "give" in messages.
    test: returns whether a value is accepted.
    unit: of its numbers.
    nullable: whether null is accepted.
    convert: applied to an accepted value before it is stored.
    limit: size beyond which a number is no reasonable value, whatever it is for; None: no limit.
    """

    meaning: str
    accepts: str
    test: Callable[[Any], bool]
    unit: str = ""
    nullable: bool = False
    convert: Callable[[Any], Any] | None = None
    limit: float | None = None

    @property
    def expected(self) -> str:
        """Accepted values with unit and null, in words that follow "give" in messages."""
        unit = f", in {self.unit}" if self.unit else ""
        return f"{self.accepts}{unit}" + ((", or null" if unit else " or null") if self.nullable else "")

    def check(self, value: Any, where: str) -> None:
        """Raise :class:`InputError` unless ``value`` is accepted.

        :param where: path of the setting, for the message.
        """
        if (value is None and self.nullable) or self.test(value):
            if self.limit is not None and value is not None and abs(value) > self.limit:
                raise InputError(f"`{where}` is {value!r}; give no more than {self.limit:,.12g}.")
            return
        hint = f", in YAML written as {written}" if (written := self._in_yaml(value)) else ""
        raise InputError(f"`{where}` is {value!r}; give {self.expected}{hint}.")

    def read(self, value: Any, where: str) -> Any:
        """Return ``value`` in the form in which it is stored.

        :raises InputError: as :meth:`check`.
        """
        self.check(value, where)
        return value if value is None or self.convert is None else self.convert(value)

    def _in_yaml(self, value: Any) -> str | None:
        """Return the YAML form of a number that was read as text, such as `1e-6`; None if it would not be accepted."""
        written = number_in_yaml(value)
        return written if written is not None and self.test(float(written)) else None


@dataclass(frozen=True)
class SettingGroup(Setting):
    """Description of nested settings.

    kind: their class.
    partial: whether they are only checked, and not completed with defaults.
    """

    kind: type[Settings] = Settings
    partial: bool = False

    def check(self, value: Any, where: str) -> None:
        """Check names and values of the settings."""
        if not (value is None and self.nullable) and not isinstance(value, self.kind):
            self.kind.check_given(value, f"{where}.")

    def read(self, value: Any, where: str) -> Any:
        """Return the settings as an instance of their class; partial settings as a mapping."""
        if value is None and self.nullable:
            return None
        if self.partial:
            self.check(value, where)
            return dict(value)
        return value if isinstance(value, self.kind) else self.kind.from_mapping(value, f"{where}.")


@dataclass(frozen=True)
class SettingGroups(Setting):
    """Description of a list of settings of the class ``kind``."""

    kind: type[Settings] = Settings

    def check(self, value: Any, where: str) -> None:
        """Check each entry."""
        self.read(value, where)

    def read(self, value: Any, where: str) -> tuple[Settings, ...]:
        """Return the entries as instances of their class."""
        super().check(value, where)
        return tuple(self._read_entry(entry, f"Entry {number} of `{where}`") for number, entry in enumerate(value, 1))

    def _read_entry(self, entry: Any, which: str) -> Settings:
        if isinstance(entry, self.kind):
            return entry
        if not isinstance(entry, Mapping):
            raise InputError(f"{which} is {entry!r}; give settings under it: {', '.join(self.kind.names())}.")
        try:
            return self.kind.from_mapping(entry)
        except InputError as error:
            raise InputError(f"{which}: {error}") from error


@dataclass(frozen=True)
class NamedSettingGroups(Setting):
    """Description of a mapping of names to settings of the class ``kind``, which are not completed with defaults."""

    kind: type[Settings] = Settings

    def check(self, value: Any, where: str) -> None:
        """Check each entry."""
        super().check(value, where)
        for name, entry in value.items():
            self.kind.check_given(entry, f"{where}.{name}.")


def require_known_names(given: Iterable[Any], known: Iterable[str], prefix: str = "") -> None:
    """Raise :class:`InputError` for the first name that is not in ``known``, with the nearest known one.

    :param prefix: path of the names in the settings, such as ``exploration.parameters.``.
    """
    known = list(known)
    for name in given:
        if name not in known:
            raise InputError(f"`{prefix}{name}` is not a known setting. {nearest_name(str(name), known)}")


def setting(default: Any, meaning: str, accepts: str, test: Callable[[Any], bool], **options: Any) -> Any:
    """Return a field of :class:`Settings` with a custom test; parameters are those of :class:`Setting`."""
    options["nullable"] = options.get("nullable", False) or default is None
    return described_field(default, Setting(meaning, accepts, test, **options))


def number(default: float | None, meaning: str, **options: Any) -> Any:
    """Return a field for a finite number.

    :param options: `unit`, `nullable` and `limit` as those of :class:`Setting`, and `above`, `at_least`, `below` and
        `at_most`.
    """
    return _bounded(default, meaning, "a number", is_number, **{"limit": LARGEST_NUMBER, **options})


def integer(default: int | None, meaning: str, **options: Any) -> Any:
    """Return a field for a whole number; parameters are those of :func:`number`."""
    return _bounded(default, meaning, "a whole number", is_integer, **{"limit": LARGEST_COUNT, **options})


def _bounded(default: float | None, meaning: str, what: str, test: Callable[[Any], bool], **options: Any) -> Any:
    bounds = {name: options.pop(name) for name in BOUNDS if name in options}
    words, fits = within(**bounds)
    return setting(default, meaning, f"{what}{words}", lambda value: test(value) and fits(value), **options)


def choice(default: str | None, choices: Sequence[str], meaning: str) -> Any:
    """Return a field for one of several words."""
    words = " or ".join(filter(None, [", ".join(f"`{word}`" for word in choices[:-1]), f"`{choices[-1]}`"]))
    return setting(default, meaning, words, lambda value: isinstance(value, str) and value in choices)


def flag(default: Any, meaning: str) -> Any:
    """Return a field for a boolean."""
    return setting(default, meaning, "true or false", lambda value: isinstance(value, bool))


def text(default: str | None, meaning: str, accepts: str = "text", *, nullable: bool = False) -> Any:
    """Return a field for text that is not empty."""
    return setting(default, meaning, accepts, lambda value: isinstance(value, str) and value != "", nullable=nullable)


def sequence(
    default: Sequence[Any] | None,
    meaning: str,
    accepts: str,
    each: Callable[[Any], bool],
    *,
    unit: str = "",
    length: int | None = None,
    empty: bool = False,
    different: bool = False,
    nullable: bool = False,
) -> Any:
    """Return a field for a list, which is stored as a tuple.

    :param each: returns whether an entry is accepted.
    :param length: required length; None: any.
    :param empty: whether the list may be empty.
    :param different: whether its entries have to be different.
    """

    def test(value: Any) -> bool:
        return (
            is_sequence(value)
            and (empty or len(value) > 0)
            and (length is None or len(value) == length)
            and all(each(entry) for entry in value)
            and not (different and len(set(value)) < len(value))
        )

    stored: Any = tuple(default) if isinstance(default, (tuple, list)) else default
    return setting(stored, meaning, accepts, test, unit=unit, nullable=nullable, convert=tuple)


def mapping(default: Mapping[str, Any] | None, meaning: str, *, nullable: bool = False) -> Any:
    """Return a field for a mapping, whose content is not checked."""
    return setting(default, meaning, "a mapping", is_mapping, nullable=nullable, convert=dict)


def group(
    kind: type[Settings], meaning: str = "", *, default: Any = None, nullable: bool = False, partial: bool = False
) -> Any:
    """Return a field for nested settings of the class ``kind``, with its defaults.

    :param nullable: whether null is accepted.
    :param partial: whether the settings override others, and are not completed with defaults.
    """
    words = f"a mapping of settings: {', '.join(kind.names())}"
    described = SettingGroup(meaning, words, is_mapping, nullable=nullable, kind=kind, partial=partial)
    if default is REQUIRED or (default is None and nullable):
        return described_field(default, described)
    return field(default_factory=dict if partial else kind, metadata={"setting": described})


def groups(kind: type[Settings], meaning: str) -> Any:
    """Return a field for a list of settings of the class ``kind``; empty by default."""
    return described_field((), SettingGroups(meaning, "a list of mappings", is_sequence, kind=kind))


def plain(value: Any) -> Any:
    """Return settings in the form of a settings file: mappings and lists."""
    if isinstance(value, Settings):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    return value


def named_groups(kind: type[Settings], meaning: str, *, default: Any = REQUIRED) -> Any:
    """Return a field for a mapping of names to settings of the class ``kind``."""
    return described_field(
        default, NamedSettingGroups(meaning, "a mapping of names to settings", is_mapping, kind=kind)
    )


def described_field(default: Any, described: Setting) -> Any:
    """Return a field of :class:`Settings` with the description ``described``."""
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: type(default)(default), metadata={"setting": described})
    return field(default=default, metadata={"setting": described})


def _setting_of(entry: Field[Any]) -> Setting:
    if "setting" not in entry.metadata:
        raise TypeError(f"the field `{entry.name}` has no description; create it with `number`, `choice` and so on.")
    described: Setting = entry.metadata["setting"]
    return described


def _default_of(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()
