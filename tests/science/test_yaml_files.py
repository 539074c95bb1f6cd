"""The loader of YAML: what would be read as something else than is written is refused, with its line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aiida_sicmlip.common.exceptions import InputError
from aiida_sicmlip.science.yaml_files import load_yaml, read_yaml


def test_values() -> None:
    text = "a: &base {b: 1, c: 2.5e-3, d: [x, 'y', true, null]}\ne: {<<: *base, b: 0x10}\nf: 1_000\ng: '1:30'\n"
    base = {"b": 1, "c": 2.5e-3, "d": ["x", "y", True, None]}
    assert load_yaml(text, "it") == {"a": base, "e": {**base, "b": 16}, "f": 1000, "g": "1:30"}
    assert load_yaml("", "it") is None and load_yaml("# nothing\n", "it") is None


def _tenfold(level: int) -> str:
    """Return a line of YAML with a list of ten times the list of the level below."""
    return f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: 1\na: {b: 1}\nc: 2\na: {d: 1}\n", "line 4 of it has the key `a` again, which is in line 2 already"),
        ("a:\n  b: 1\n  'b': 2\n", "line 3 of it has the key `b` again"),
        ("a: [{b: 1, b: 2}]", "line 1 of it has the key `b` again"),
        ("a: 0\nb: 1:30\n", "line 2 of it has `1:30`, which YAML reads to base 60"),
        ("a: [1, 12:30:45.5]", "`12:30:45.5`, which YAML reads to base 60"),
        ("a: 010", "`010`, which YAML reads to base 8"),
        ("a: 1\nb: .inf", "line 2 of it has `.inf`, which is not a finite number"),
        ("a: -.INF", "not a finite number"),
        ("a: .NaN", "not a finite number"),
        ("a: 1.0e+999", "not a finite number"),
        ("a: " + "9" * 5000, "a whole number of 5000 digits"),
        ("a: 2024-01-02", "is read as `timestamp`; write dates in quotes"),
        ("a: !!binary aGk=", "is read as `binary`"),
        ("a: !!python/object/apply:os.getcwd []", "it"),
        ("a: !!set {b}", "is read as `set`"),
        ("? [a, b]\n: 1\n", "line 1 of it has a key that is no word"),
        ("a: &a [*a]", "refers to itself by an alias"),
        ("a: [1", "it is not YAML"),
        ("a: 1\n---\nb: 2\n", "it is not YAML"),
        ("a: \x00", "it is not YAML"),
        ("[" * 2000, "it"),
        ("{a: " * 200 + "1" + "}" * 200, "levels; write it flatter"),
        ("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(map(_tenfold, range(1, 9))), "by its aliases"),
    ],
)
def test_what_is_refused(text: str, words: str) -> None:
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load_yaml(text, "it")
    assert words in str(caught.value) and time.monotonic() - start < 5


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    with pytest.raises(InputError, match="the settings does not exist"):
        read_yaml(path, "the settings")
    with pytest.raises(InputError, match="the settings cannot be read"):
        read_yaml(tmp_path, "the settings")
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        read_yaml(path, "the settings")
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert read_yaml(path, "the settings") == {"a": 1}
