"""The reader of extended XYZ: each line belongs to a frame that is whole and finite, or the file is refused.

The lines are counted here; the header and the rows of a frame are parsed by ASE.
"""

from __future__ import annotations

import gzip
import io
import itertools
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_sicmlip.common.exceptions import InputError

if TYPE_CHECKING:
    from ase import Atoms

FRAME_KEYS = ("Lattice", "Properties", "pbc")
"""Header keys of every frame."""
LABEL_KEYS = ("energy", "free_energy", "forces")
"""Header keys and columns of energies and forces."""
_POSITIONS, _SPECIES = ("pos", "positions"), ("Z", "numbers", "species", "symbols")
_COLUMNS = ("species", "pos", "Z")
_UNREAD = ("stress", "virial", "stresses", "virials")
"""Header keys that nothing here needs, in any form."""
_LONGEST_LINE = 1 << 20
_SHORTEST_ROW = len("H 0 0 0\n")
_LOGICAL = re.compile(r"T|F|[Tt]rue|[Ff]alse|TRUE|FALSE")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eEdD][+-]?\d+)?")
_CLOSING = {'"': '"', "'": "'", "{": "}", "[": "]"}
_PLAIN = "species:S:1:pos:R:3"


@dataclass(frozen=True)
class Block:
    """Lines of one frame.

    where: file, frame and first line, for messages.
    comment: its second line.
    rows: the lines of its atoms.
    """

    where: str
    comment: str
    rows: Sequence[str]


def read_extended_xyz(path: Path, label_keys: Collection[str] = (), taken: Collection[str] = ()) -> Iterator[Atoms]:
    """Yield the frames of a file, one after the other.

    Header keys and columns are those of ASE; stresses and virials are left out.

    :param label_keys: keys and columns besides those of every frame that are read, such as :data:`LABEL_KEYS`.
    :param taken: names of keys and columns that the user gave, which may be in any case.
    :raises InputError: with file, frame and line, for text that belongs to no frame, a frame that is truncated, has no
        column of positions, or is not sound as in :func:`require_sound`, and for keys that no reader would find.
    """
    for block in read_blocks(path):
        yield _frame(block, label_keys, taken)


def species_of_file(path: Path) -> set[str]:
    """Return the elements of all frames of a file.

    :raises InputError: as :func:`read_extended_xyz`, without the checks of numbers.
    """
    from ase.data import chemical_symbols

    found: set[str] = set()
    for block in read_blocks(path):
        columns = _columns(block, dict(_entries(block)).get("Properties", _PLAIN), _COLUMNS, ())
        name = next(name for name in _SPECIES if name in columns)
        at = columns[name][0]
        words = {row.split()[at] for row in block.rows}
        for word in words:
            symbol = word.capitalize()
            if name in ("Z", "numbers"):
                symbol = chemical_symbols[int(word)] if word.isdigit() and int(word) < len(chemical_symbols) else ""
            if symbol not in chemical_symbols[1:]:
                raise InputError(f"{block.where} has an atom of `{word}`, which is no element; correct it.")
            found.add(symbol)
    return found


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the lines of each frame of an xyz file, or of one that gzip compressed; blank lines may be between them.

    :raises InputError: for a file that cannot be read, a frame that is truncated, and lines that belong to no frame.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise InputError(f"The file `{path}` {what}: give one in extended XYZ.")
    try:
        is_compressed = path.suffix == ".gz"
        size = None if is_compressed else path.stat().st_size
        with gzip.open(path) if is_compressed else path.open("rb") as file:
            yield from _blocks(_Lines(file, path), size)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"The file `{path}` cannot be read: {error}.") from error


class _Lines:
    """Lines of a file with their number, and the bytes read so far."""

    def __init__(self, file: io.BufferedIOBase, path: Path) -> None:
        self._file, self.path = file, path
        self.number = self.n_bytes = 0

    def next(self) -> str | None:
        """Return the next line without its end; None after the last one."""
        line = self._file.readline(_LONGEST_LINE)
        if not line:
            return None
        self.number += 1
        self.n_bytes += len(line)
        if len(line) == _LONGEST_LINE:
            raise InputError(
                f"line {self.number} of `{self.path.name}` is longer than a megabyte; is this extended XYZ?"
            )
        return line.decode("utf-8-sig" if self.number == 1 else "utf-8", "replace").rstrip("\r\n")


def _blocks(lines: _Lines, size: int | None) -> Iterator[Block]:
    index = 0
    while (head := lines.next()) is not None:
        if not head.strip():
            continue
        where = f"frame {index} of `{lines.path.name}` (line {lines.number})"
        if not re.fullmatch(r"\s*[0-9]{1,18}\s*", head):
            after = f"after frame {index - 1}" if index else "at its beginning"
            raise InputError(
                f"line {lines.number} of `{lines.path.name}`, {after}, is `{_short(head)}`, where the number of atoms "
                f"of frame {index} must stand; correct the number of atoms before it, or remove the line."
            )
        count = int(head)
        left = None if size is None else size - lines.n_bytes
        if count == 0 or (left is not None and count * _SHORTEST_ROW > left + 1):
            held = "and a frame has at least one" if count == 0 else f"but the file has only {left} more bytes"
            raise InputError(f"{where} says that it has {count} atoms, {held}; correct the number or the file.")
        comment = lines.next()
        rows: list[str] = []
        while comment is not None and len(rows) < count:
            row = lines.next()
            if row is None or not row.strip():
                break
            rows.append(row)
        if comment is None or len(rows) < count:
            raise InputError(
                f"{where} says that it has {count} atoms, but it has {len(rows)} lines of atoms; is the file complete?"
            )
        yield Block(where, comment, rows)
        index += 1


def _frame(block: Block, label_keys: Collection[str], taken: Collection[str]) -> Atoms:
    from ase.io.extxyz import read_xyz

    entries = _entries(block)
    names = [key for key, _ in entries]
    for key in names:
        if key in FRAME_KEYS and names.count(key) > 1:
            raise InputError(f"{block.where} has `{key}` twice in its header; keep one.")
    _refuse_other_case(block, names, (*FRAME_KEYS, *label_keys), taken, "header key")
    values = dict(entries)
    _check_vectors(block, values)
    columns = _columns(block, values.get("Properties", _PLAIN), (*_COLUMNS, *label_keys), taken)
    n_words = sum(width for _, width in columns.values())
    for offset, row in enumerate(block.rows):
        if len(row.split()) != n_words:
            raise InputError(
                f"{block.where} has {len(row.split())} words in the line of its atom {offset}, `{_short(row)}`, and "
                f"`Properties` names {n_words} columns ({', '.join(columns)}); name every column there."
            )
    # ASE takes what follows an empty value for the value.
    comment = " ".join(
        f'"{_escaped(key)}"="{_escaped(value)}"' for key, value in entries if value and key.lower() not in _UNREAD
    )
    text = "\n".join([str(len(block.rows)), comment, *block.rows]) + "\n"
    try:
        frame: Atoms = next(read_xyz(io.StringIO(text), index=0))
    except Exception as error:  # ASE's readers raise any class of error
        reason = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error) or "no reason given"
        raise InputError(f"{block.where} cannot be read as extended XYZ ({reason}); correct it.") from error
    require_sound(frame, block.where)
    return frame


def _escaped(value: str) -> str:
    """Return a value as it stands between double quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"')


def _entries(block: Block) -> list[tuple[str, str]]:
    """Return the header's keys and values in order, by the rules of ASE; the value of a key alone is `T`.

    :raises InputError: for quotes that do not end, and vectors without quotes.
    """
    entries = [_Entry()]
    for char, literal in _characters(block):
        last = entries[-1]
        if not literal and char.isspace():
            last.ended = True
        elif not literal and char == "=" and last.value is None and last.key:
            last.value, last.ended, last.quoted = "", False, False
        else:
            if last.is_complete:
                entries.append(_Entry())
            entries[-1].add(char)
    is_extended = any(entry.key.lower() in ("lattice", "properties", "pbc") for entry in entries)
    if is_extended:
        _refuse_loose_words(block, entries)
    return [(entry.key, "T" if entry.value is None else entry.value) for entry in entries if entry.key]


def _characters(block: Block) -> Iterator[tuple[str, bool]]:
    """Yield the characters of a header, and whether each is in quotes or escaped; an empty one where quotes end."""
    closing, escaped = "", False
    for char in block.comment.strip():
        if escaped:
            escaped = False
            yield char, True
        elif char == "\\":
            escaped = True
        elif closing:
            yield "" if char == closing else char, True
            closing = "" if char == closing else closing
        elif char in _CLOSING:
            closing = _CLOSING[char]
        else:
            yield char, False
    if closing:
        raise InputError(f"{block.where} has a header in which `{closing}` is missing: `{_short(block.comment)}`.")


@dataclass
class _Entry:
    """A key of a header and its value, if it has one; whether a space ended it, or a quote closed."""

    key: str = ""
    value: str | None = None
    ended: bool = False
    quoted: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether what follows belongs to the next entry; as in ASE, spaces around `=` do not end one."""
        return self.ended and (bool(self.key) if self.value is None else bool(self.value) or self.quoted)

    def add(self, char: str) -> None:
        """Append a character; an empty one ends quotes."""
        self.ended, self.quoted = False, self.quoted or not char
        if self.value is None:
            self.key += char
        else:
            self.value += char


def _refuse_loose_words(block: Block, entries: Sequence[_Entry]) -> None:
    """Raise for a vector without quotes, of which a reader sees the first word alone."""
    for at, entry in enumerate(entries):
        loose = [
            word.key
            for word in itertools.takewhile(lambda word: word.value is None, entries[at + 1 :])
            if _LOGICAL.fullmatch(word.key) or _NUMBER.fullmatch(word.key)
        ]
        if entry.value is not None and loose:
            words = " ".join([entry.value, *loose])
            raise InputError(
                f"{block.where} has `{entry.key}={_short(words)}` in its header, of which a reader sees "
                f'`{entry.key}={_short(entry.value)}` alone; write it in quotes, as `{entry.key}="{_short(words)}"`.'
            )


def _refuse_other_case(
    block: Block, names: Collection[str], known: Collection[str], taken: Collection[str], what: str
) -> None:
    """Raise for a name that is a known one but for its case, with which no reader finds it."""
    right = {name.lower(): name for name in known}
    for name in names:
        if name not in known and name not in taken and name.lower() in right:
            raise InputError(
                f"{block.where} has the {what} `{name}`, which is not read; write `{right[name.lower()]}`."
            )


def _check_vectors(block: Block, values: dict[str, str]) -> None:
    for key, test, lengths, example in (
        ("Lattice", _NUMBER, (9,), '`Lattice="a1 a2 a3 b1 b2 b3 c1 c2 c3"`, nine finite numbers in A'),
        ("pbc", re.compile(_LOGICAL.pattern + "|0|1"), (1, 3), '`pbc="T T F"`, a logical for each cell vector'),
    ):
        words = re.findall(r"[^\s,]+", values.get(key, ""))
        if key in values and (len(words) not in lengths or not all(test.fullmatch(word) for word in words)):
            raise InputError(f'{block.where} has `{key}="{_short(values[key])}"` in its header; write {example}.')


def _columns(
    block: Block, properties: str, known: Collection[str], taken: Collection[str]
) -> dict[str, tuple[int, int]]:
    """Return the first column and the number of columns of each property.

    :raises InputError: unless there are species and positions.
    """
    parts = properties.split(":")
    columns: dict[str, tuple[int, int]] = {}
    kinds: dict[str, str] = {}
    begin = 0
    for name, kind, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        is_sound = name and name not in columns and kind in ("S", "R", "I", "L")
        if not is_sound or not re.fullmatch(r"[1-9]\d{0,3}", width) or len(parts) % 3:
            begin = 0
            break
        columns[name], kinds[name] = (begin, int(width)), kind
        begin += int(width)
    if not begin:
        raise InputError(
            f"{block.where} has `Properties={_short(properties)}`; write a name, a type (S, R, I or L) and a number of "
            f"columns for each different property, such as `Properties={_PLAIN}:forces:R:3`."
        )
    _refuse_other_case(block, list(columns), known, taken, "column")
    if "forces" in known and kinds.get("forces") not in (None, "R"):
        raise InputError(f"{block.where} has `forces` as a logical, a text or whole numbers; name it `forces:R:3`.")
    if not any(kinds.get(name) == "R" and columns[name][1] == 3 for name in _POSITIONS):
        raise InputError(
            f"{block.where} has no column of positions in `Properties={_short(properties)}`; name it `pos:R:3`."
        )
    if not any(name in columns for name in _SPECIES):
        raise InputError(
            f"{block.where} has no column of elements in `Properties={_short(properties)}`; name it `species:S:1`."
        )
    return columns


def require_sound(frame: Atoms, where: str) -> None:
    """Check that a frame is one of elements at finite, different positions, in a cell along each periodic direction.

    All numbers of the frame have to be finite, and energies no logicals.

    :param where: the frame, as messages name it.
    :raises InputError: with what is wrong.
    """
    import numpy as np

    from aiida_sicmlip.science.frame_checks import coincident_atoms, mistake_in_cell

    if not len(frame) or not frame.numbers.all():
        raise InputError(f"{where} has {'an atom that is no element' if len(frame) else 'no atoms'}.")
    results: dict[str, Any] = frame.calc.results if frame.calc is not None else {}
    for name, value in {"cell": frame.cell.array, **frame.arrays, **frame.info, **results}.items():
        kind = np.asarray(value).dtype.kind if isinstance(value, (float, np.ndarray, np.generic)) else "O"
        if kind == "f" and not np.isfinite(value).all():
            raise InputError(f"{where} holds a number that is not finite (`{name}`); correct or remove the frame.")
        is_label = name in ("energy", "free_energy", "forces")
        if is_label and (isinstance(value, bool) or kind == "b"):
            raise InputError(f"{where} has `{name}` as a logical (T or F); write a number.")
    mistake = mistake_in_cell(frame.positions, frame.cell.array, frame.pbc)
    if mistake is not None:
        raise InputError(f"{where} {mistake}")
    pair = coincident_atoms(frame.positions, frame.cell.array, frame.pbc)
    if pair is not None:
        raise InputError(f"{where} has its atoms {pair[0]} and {pair[1]} (from 0) at the same place; correct it.")


def _short(text: str) -> str:
    """Return the beginning of a text, in one line, for a message."""
    text = " ".join(text.split())
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= 60 else f"{text[:57]}..."
