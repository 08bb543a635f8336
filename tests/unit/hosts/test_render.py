"""Actions become shell text in one place, and nothing in them is ever read as shell."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.hosts.command import Action, Command, RemovePath, Secret, WriteFile
from atoll.hosts.listing import list_actions
from atoll.hosts.render import render_action, render_command

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (
            Command(argv=("ctr", "images", "ls"), why="List."),
            "timeout -k 5 30 ctr images ls </dev/null",
        ),
        (
            Command(argv=("echo", "it's $HOME"), why="Say.", seconds=2.5, environment=(("A", "b c"),)),
            "A='b c' timeout -k 5 2.5 echo 'it'\"'\"'s $HOME' </dev/null",
        ),
        (
            Command(argv=("cat",), why="Say.", stdin=Secret("two\nlines")),
            "printf %s 'two\nlines' | timeout -k 5 30 cat",
        ),
        (
            WriteFile(path="/etc/x y/f", content=Secret("s'"), why="Write.", mode=0o600, new=True),
            "atoll_write '/etc/x y/f' '/etc/x y' 0600 new 's'\"'\"''",
        ),
        (
            RemovePath(path="/var/lib/a b/", why="Remove."),
            "atoll_remove '/var/lib/a b' '/var/lib/a\\040b'",
        ),
    ],
)
def test_an_action_is_one_piece_of_shell(action: Action, text: str) -> None:
    assert render_action(action) == text


@given(st.lists(WORDS, min_size=1))
def test_every_word_of_a_command_stays_one_word(argv: list[str]) -> None:
    text = render_command(Command(argv=tuple(argv), why="Try."))
    assert shlex.split(text) == ["timeout", "-k", "5", "30", *argv, "</dev/null"]


@given(WORDS, WORDS.filter(bool))
def test_contents_stay_one_word(content: str, stdin: str) -> None:
    written = shlex.split(render_action(WriteFile(path="/a/b", content=content, why="Write.")))
    assert written == ["atoll_write", "/a/b", "/a", "0644", "over", content]
    piped = shlex.split(render_command(Command(argv=("x",), why="Try.", stdin=stdin)))
    assert piped[:4] == ["printf", "%s", stdin, "|"]


@pytest.mark.parametrize(
    "action",
    [
        Command(argv=(), why="Nothing."),
        Command(argv=("a\0b",), why="NUL."),
        Command(argv=("a",), why="Bad name.", environment=(("A;b", "c"),)),
        Command(argv=("a",), why="Bad name.", environment=(("", "c"),)),
        WriteFile(path="relative", content="", why="Write."),
        WriteFile(path="/a/../b", content="", why="Write."),
        RemovePath(path="/", why="Remove."),
        RemovePath(path="//", why="Remove."),
        RemovePath(path="/etc/", why="Remove."),
        RemovePath(path="/var/lib", why="Remove."),
        RemovePath(path="/usr/./bin", why="Remove."),
        RemovePath(path="", why="Remove."),
    ],
)
def test_what_must_not_be_done_is_not_rendered(action: Action) -> None:
    with pytest.raises(ValueError):
        render_action(action)


def test_an_operation_can_be_read_without_a_host_and_without_its_secrets() -> None:
    listed = list_actions(
        iter(
            (
                WriteFile(path="/etc/token", content=Secret("CANARY"), why="Hand over the token", mode=0o600),
                Command(argv=("kubeadm", "join", "a b"), why="Join", stdin=Secret("CANARY")),
                Command(argv=("true",), why="Rest", environment=(("A", "b"),), stdin="x"),
                RemovePath(path="/etc/token", why="Forget the token"),
            )
        )
    )
    assert listed == (
        "1. Hand over the token: write /etc/token (0600, •••)",
        "2. Join: kubeadm join 'a b' < •••",
        "3. Rest: A=b true < (input)",
        "4. Forget the token: remove /etc/token",
    )
