"""What a host prints is made fit for people."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.hosts.clean import clean_text, decode_text


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hover", "over"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;never closed\nnext line", "\nnext line"),
        ("\x1bPdevice\x1b\\text", "text"),
        ("\x1b(B\x1b=\x1bMtext", "text"),
        ("\x9b31mred", "red"),
        ("10%\r20%\r\ndone", "10%\n20%\ndone"),
        ("a\x00b\x08c\x7fd", "abcd"),
        ("abc\u202edef\u2066g\u200bh", "abcdefgh"),
        ("ends in \x1b", "ends in "),
        ("ends in \x1b[", "ends in "),
        ("Grüße €", "Grüße €"),
    ],
)
def test_escapes_and_controls_go_and_text_stays(printed: str, shown: str) -> None:
    assert clean_text(printed) == shown


def test_what_is_no_text_is_marked() -> None:
    assert decode_text(b"a\xff\xfeb\xe2\x82") == "a\ufffd\ufffdb\ufffd"


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\x1b[]P\\;0m\x07\x9b\r\n\u202e"))))
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    cleaned = clean_text(text)
    assert not [char for char in cleaned if unicodedata.category(char) == "Cc" and char not in "\n\t"]
    assert clean_text(cleaned) == cleaned
