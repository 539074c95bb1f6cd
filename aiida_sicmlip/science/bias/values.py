"""The named values of a plumed.dat: `label` or `label.component`, and the lists of them that `ARG=` gives."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiida_sicmlip.common.exceptions import InputError, nearest_name


class ValueNames:
    """Names in the order in which the actions define them. The index of a name is its index in the array of values."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._places: dict[str, int] = {}
        self._labels: dict[str, int] = {}
        #: Indices of values that have a gradient: a bias can act on them.
        self.variables: set[int] = set()

    def define(self, label: str, components: Sequence[str], line: int, *, variable: bool) -> list[int]:
        """Add the values of an action, `label` itself where the only component is empty, and return their indices.

        :raises InputError: for a label that is taken.
        """
        if label in self._labels:
            raise InputError(f"The label `{label}` stands in lines {self._labels[label]} and {line} of plumed.dat.")
        self._labels[label] = line
        places = []
        for component in components:
            name = f"{label}.{component}" if component else label
            self._places[name] = len(self.names)
            places.append(len(self.names))
            self.names.append(name)
        if variable:
            self.variables.update(places)
        return places

    def find(self, words: Sequence[str], where: str) -> list[int]:
        """Return the indices of a list of names; `*`, `label.*`, `*.component` and `(regular expression)` give several.

        :raises InputError: for an empty list, and for a word that finds nothing; ``where`` names the action.
        """
        if not words:
            raise InputError(f"{where} needs the keyword `ARG=` with the names of its arguments.")
        places = []
        for word in words:
            found = self._find(word, where)
            if not found:
                message = f"{where}: `ARG=` names `{word}`, which no action above it defines."
                if word in self._labels:
                    components = [name for name in self.names if name.startswith(f"{word}.")]
                    message += f" Its values are {', '.join(components)}."
                elif self.names and "*" not in word and not word.startswith("("):
                    message += " " + nearest_name(word, self.names)
                raise InputError(message)
            places.extend(found)
        return places

    def find_variables(self, words: Sequence[str], where: str) -> list[int]:
        """Return indices as :meth:`find` does, of values that a bias can act on.

        :raises InputError: also for a component of a bias.
        """
        places = self.find(words, where)
        for place in places:
            if place not in self.variables:
                raise InputError(
                    f"{where} acts on `{self.names[place]}`, which belongs to a bias; the built-in evaluator biases "
                    "only values of DISTANCE and PYTORCH_MODEL."
                )
        return places

    def _find(self, word: str, where: str) -> list[int]:
        if word.startswith("("):
            try:
                pattern = re.compile(word)
            except re.error as error:
                raise InputError(f"{where}: `{word}` in `ARG=` is no regular expression: {error}.") from error
            return [place for place, name in enumerate(self.names) if pattern.fullmatch(name)]
        if "*" not in word:
            return [self._places[word]] if word in self._places else []
        if word in ("*", "*.*"):
            return list(range(len(self.names)))
        label, dot, component = word.partition(".")
        if dot and component == "*":
            return [place for place, name in enumerate(self.names) if name.startswith(f"{label}.")]
        if dot and label == "*":
            return [place for place, name in enumerate(self.names) if name.partition(".")[2] == component]
        raise InputError(f"{where}: `{word}` in `ARG=` is none of `*`, `label.*` and `*.component`.")
