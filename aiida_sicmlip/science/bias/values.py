"""Names of the values of a plumed.dat, `label` or `label.component`, and lists of them in `ARG=`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiida_sicmlip.common.exceptions import InputError, nearest_name


class ValueNames:
    """Names of values in the order of their definition, which is the order of the array of values."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._indices: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        #: Indices of values that a bias can act on, since they have a gradient.
        self.variables: set[int] = set()

    def define(self, label: str, components: Sequence[str], line: int, *, variable: bool) -> list[int]:
        """Add the values of an action and return their indices.

        :param components: of the action; an empty name stands for `label` itself.
        :param line: of the action in plumed.dat.
        :param variable: whether a bias can act on the values.
        :raises InputError: if the label is already defined.
        """
        if label in self._labels:
            raise InputError(f"The label `{label}` is defined in lines {self._labels[label]} and {line} of plumed.dat.")
        self._labels[label] = line
        indices = []
        for component in components:
            name = f"{label}.{component}" if component else label
            self._indices[name] = len(self.names)
            indices.append(len(self.names))
            self.names.append(name)
        if variable:
            self.variables.update(indices)
        return indices

    def find(self, words: Sequence[str], where: str) -> list[int]:
        """Return the indices of listed values; `*`, `label.*`, `*.component` and `(regular expression)` are patterns.

        :param words: items of the list.
        :param where: action, for messages.
        :raises InputError: for an empty list, and for an item that matches no value.
        """
        if not words:
            raise InputError(f"{where} needs the keyword `ARG=` with the names of its arguments.")
        indices = []
        for word in words:
            matches = self._find(word, where)
            if not matches:
                message = f"{where}: `ARG=` contains `{word}`, which no action above defines."
                if word in self._labels:
                    components = [name for name in self.names if name.startswith(f"{word}.")]
                    message += f" Its values are {', '.join(components)}."
                elif self.names and "*" not in word and not word.startswith("("):
                    message += " " + nearest_name(word, self.names)
                raise InputError(message)
            indices.extend(matches)
        return indices

    def find_variables(self, words: Sequence[str], where: str) -> list[int]:
        """Return the indices of :meth:`find` for values that a bias can act on.

        :raises InputError: also for a component of a bias.
        """
        indices = self.find(words, where)
        for index in indices:
            if index not in self.variables:
                raise InputError(
                    f"{where} acts on `{self.names[index]}`, a component of a bias; the built-in evaluator biases only "
                    "values of DISTANCE and PYTORCH_MODEL."
                )
        return indices

    def _find(self, word: str, where: str) -> list[int]:
        if word.startswith("("):
            try:
                pattern = re.compile(word)
            except re.error as error:
                raise InputError(f"{where}: `{word}` in `ARG=` is not a valid regular expression: {error}.") from error
            return [index for index, name in enumerate(self.names) if pattern.fullmatch(name)]
        if "*" not in word:
            return [self._indices[word]] if word in self._indices else []
        if word in ("*", "*.*"):
            return list(range(len(self.names)))
        label, dot, component = word.partition(".")
        if dot and component == "*":
            return [index for index, name in enumerate(self.names) if name.startswith(f"{label}.")]
        if dot and label == "*":
            return [index for index, name in enumerate(self.names) if name.partition(".")[2] == component]
        raise InputError(f"{where}: `{word}` in `ARG=` is not a valid pattern; give `*`, `label.*` or `*.component`.")
