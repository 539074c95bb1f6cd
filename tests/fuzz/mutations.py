"""How files of users go wrong: bytes that change or are lost, lines twice or not at all, numbers that are none.

The number of cases of each test is `SICMLIP_FUZZ_CASES`, 25 by default; the same cases are tried each time unless
`SICMLIP_FUZZ_RANDOM` is set.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = settings(
    max_examples=int(os.environ.get("SICMLIP_FUZZ_CASES", "25")),
    # Nothing may take longer, whatever it is given.
    deadline=timedelta(seconds=10),
    derandomize="SICMLIP_FUZZ_RANDOM" not in os.environ,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
WORDS = [
    b"nan",
    b"-inf",
    b"1e400",
    b"1e200",
    b"-1",
    b"0",
    b"1000000000000",
    b"9" * 400,
    b"1.0d-8",
    b"1:30",
    b"true",
    b"null",
    b"",
    b"\xff\xfe",
    b"\x00",
    "Å".encode(),
    b"%n%s",
    b"$(id)",
    b'"',
    b"[",
    b"{",
    b"../../x",
    b"=",
]
"""What stands in the place of a word."""
_Mutation = Callable[[bytes], bytes]


@st.composite
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
    """Return the content after one to three mistakes."""
    for mistake in draw(st.lists(st.sampled_from([_word, _line, _cut, _byte, _twice]), min_size=1, max_size=3)):
        content = mistake(draw, content)
    return content


def _word(draw: st.DrawFn, content: bytes) -> bytes:
    words = content.split(b" ")
    place = draw(st.integers(0, len(words) - 1))
    words[place] = draw(st.sampled_from(WORDS))
    return b" ".join(words)


def _line(draw: st.DrawFn, content: bytes) -> bytes:
    lines = content.split(b"\n")
    place = draw(st.integers(0, len(lines) - 1))
    new = draw(st.sampled_from([[], [b""], [lines[place]] * 2, [b"#" + lines[place]], [lines[0]]]))
    return b"\n".join([*lines[:place], *new, *lines[place + 1 :]])


def _cut(draw: st.DrawFn, content: bytes) -> bytes:
    return content[: draw(st.integers(0, len(content)))]


def _byte(draw: st.DrawFn, content: bytes) -> bytes:
    if not content:
        return content
    place = draw(st.integers(0, len(content) - 1))
    return content[:place] + bytes([draw(st.integers(0, 255))]) + content[place + 1 :]


def _twice(draw: st.DrawFn, content: bytes) -> bytes:
    start = draw(st.integers(0, len(content)))
    return content[:start] + content[start : start + 64] + content[start:]
