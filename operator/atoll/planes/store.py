"""Read and write the files that say what a plane is."""

from __future__ import annotations

from pathlib import Path

from .documents import parse_journal, parse_plane, render_journal, render_plane
from .effects import Effects
from .layout import Layout
from .values import Journal, PlaneState


def read_plane(layout: Layout) -> PlaneState | None:
    """Read plane.json; None when there is none. BadInput when it is damaged."""
    text = read_text(layout.plane)
    return None if text is None else parse_plane(text, str(layout.plane))


def write_plane(layout: Layout, state: PlaneState, effects: Effects) -> None:
    """Write plane.json if it does not say so already."""
    text = render_plane(state)
    if read_text(layout.plane) != text:
        effects.write_file(layout.plane, text)


def read_journal(layout: Layout) -> Journal | None:
    """Read operation.json; None when there is none. BadInput when it is damaged."""
    text = read_text(layout.journal)
    return None if text is None else parse_journal(text, str(layout.journal))


def write_journal(layout: Layout, journal: Journal, effects: Effects) -> None:
    """Write operation.json if it does not say so already."""
    text = render_journal(journal)
    if read_text(layout.journal) != text:
        effects.write_file(layout.journal, text)


def list_plane_ids(home: Path) -> tuple[str, ...]:
    """List the planes that have a folder."""
    folder = home / "planes"
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))


def read_text(path: Path) -> bytes | None:
    """Read a file; None when there is none."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
