"""Parser of plumed.dat: directives with labels, actions and keywords, independent of the meaning of the actions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aiida_sicmlip.common.exceptions import InputError, nearest_name

_WORD = re.compile(r"(?:[^\s{}]|\{[^{}]*\})+")
_SEPARATORS = re.compile(r"[,\s]+")


@dataclass(frozen=True)
class Directive:
    """An action of plumed.dat.

    action: its name.
    label: given as `label: ACTION` or `LABEL=label`; None if there is none.
    keywords: values of `KEY=`, without braces.
    flags: words without `=`.
    line: number of its first line, from 1.
    """

    action: str
    label: str | None
    keywords: dict[str, str]
    flags: tuple[str, ...]
    line: int

    @property
    def where(self) -> str:
        """Label, action and line, for messages."""
        name = f"`{self.label}: {self.action}`" if self.label else f"`{self.action}`"
        return f"{name} (line {self.line} of plumed.dat)"


def parse_directives(text: str) -> list[Directive]:
    """Return the directives of a plumed.dat in order, up to `ENDPLUMED`.

    Comments start with `#`. A directive whose first line ends with `...` continues up to a line that starts with `...`.

    :raises InputError: for a continuation without an end, and for text that is not a directive.
    """
    directives = []
    for line, words in _logical_lines(text):
        if words[0] == "ENDPLUMED":
            break
        directives.append(_directive(line, words))
    return directives


def _logical_lines(text: str) -> Iterator[tuple[int, list[str]]]:
    start, words = 0, list[str]()
    for number, content in enumerate(text.splitlines(), start=1):
        new = _WORD.findall(content.split("#", 1)[0])
        if not new:
            continue
        if start:
            if new[0] == "...":
                if len(new) > 2 or (len(new) == 2 and new[1] != words[0]):
                    raise InputError(
                        f"Line {number} of plumed.dat ends the action that starts in line {start} with "
                        f"`{' '.join(new)}`; write `...` or `... {words[0]}`."
                    )
                yield start, words
                start = 0
            else:
                words.extend(new)
        elif new[-1] == "...":
            start, words = number, new[:-1]
            if not words:
                raise InputError(f"Line {number} of plumed.dat is `...`, but there is no action to continue.")
        else:
            yield number, new
    if start:
        raise InputError(
            f"The action in line {start} of plumed.dat is continued with `...`, but does not end; add a line `...`."
        )


def _directive(line: int, words: Sequence[str]) -> Directive:
    label = None
    if words[0].endswith(":"):
        label, words = words[0][:-1], words[1:]
    if not words or "=" in words[0]:
        raise InputError(f"Line {line} of plumed.dat has no action; write `label: ACTION KEY=value ...`.")
    keywords: dict[str, str] = {}
    flags = []
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            flags.append(word)
            continue
        if key in keywords:
            raise InputError(f"Line {line} of plumed.dat gives `{key}=` twice for `{words[0]}`; remove one.")
        keywords[key] = value[1:-1] if value.startswith("{") and value.endswith("}") else value
    if "LABEL" in keywords:
        if label is not None:
            raise InputError(f"Line {line} of plumed.dat gives two labels, `{label}:` and `LABEL=`; remove one.")
        label = keywords.pop("LABEL")
    if label is not None and (not label or "." in label or "*" in label):
        raise InputError(f"Line {line} of plumed.dat: `{label}` is not a valid label; use one without `.` and `*`.")
    return Directive(words[0], label, keywords, tuple(flags), line)


class Keywords:
    """Reader of the keywords of a directive, which rejects unknown ones in :meth:`finish`."""

    def __init__(self, directive: Directive):
        self.directive = directive
        self._unread = dict(directive.keywords)
        self._flags = list(directive.flags)
        self._known: list[str] = []

    @property
    def where(self) -> str:
        """Label, action and line, for messages."""
        return self.directive.where

    def text(self, name: str, default: str | None = None) -> str:
        """Return the value of a keyword as text.

        :raises InputError: if it is missing and has no default.
        """
        value = self.optional(name)
        if value is None:
            value = default
        if value is None:
            raise InputError(f"{self.where} needs the keyword `{name}=`.")
        return value

    def optional(self, name: str) -> str | None:
        """Return the value of a keyword; None if it is not given."""
        self._known.append(name)
        value = self._unread.pop(name, None)
        if value == "":
            raise InputError(f"{self.where} has no value after `{name}=`.")
        return value

    def words(self, name: str) -> list[str]:
        """Return the items of a list separated by commas, or spaces in braces; empty if it is not given."""
        value = self.optional(name)
        return [] if value is None else [word for word in _SEPARATORS.split(value) if word]

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number, which may be `inf`.

        :raises InputError: if it is missing and has no default, or is not a number.
        """
        value = self.optional(name)
        if value is None and default is not None:
            return default
        return self._number(name, self.text(name) if value is None else value)

    def integer(self, name: str, default: int | None = None) -> int:
        """Return a whole number.

        :raises InputError: when it is missing and has no default, or is no whole number.
        """
        value = self.number(name, None if default is None else float(default))
        if not value.is_integer():
            raise InputError(f"{self.where}: `{name}={value:g}` must be a whole number.")
        return int(value)

    def numbers(self, name: str, count: int, default: float | None = None) -> list[float]:
        """Return ``count`` numbers, all equal to the default if the keyword is not given.

        :raises InputError: if they are missing and have no default, or are not ``count`` numbers.
        """
        words = self.words(name)
        if not words:
            return [self.number(name, default)] * count
        if len(words) != count:
            raise InputError(f"{self.where}: `{name}=` gives {len(words)} numbers for {count} arguments.")
        return [self._number(name, word) for word in words]

    def flag(self, name: str) -> bool:
        """Return whether a word without `=` is given."""
        self._known.append(name)
        given = name in self._flags
        self._flags = [flag for flag in self._flags if flag != name]
        return given

    def finish(self) -> None:
        """Reject keywords and flags that were not read.

        :raises InputError: for the first of them, which the message names.
        """
        unread = [*self._unread, *self._flags]
        if unread:
            raise InputError(
                f"{self.where}: the built-in evaluator does not support the keyword `{unread[0]}` of "
                f"`{self.directive.action}`. {nearest_name(unread[0], self._known)} Remove it, or use PLUMED."
            )

    def _number(self, name: str, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise InputError(f"{self.where}: `{name}={text}` must be a number.")
        return value
