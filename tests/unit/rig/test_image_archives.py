"""Image archives: the same inputs give the same bytes, and the bytes are what container engines read."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.e2e.hosts.rig.images import Entry, File, Folder, Image, Link, sort_entries, write_image

ENTRIES: tuple[Entry, ...] = (
    Folder(path="tmp", mode=0o1777),
    File(path="/usr/local/bin/hello", content=b"#!/bin/sh\necho hello\n", mode=0o755),
    Link(path="bin", target="usr/bin"),
)


def build(*entries: Entry, tag: str = "example.test/hello:1") -> Image:
    return Image(tag=tag, entrypoint=("/usr/local/bin/hello",), entries=entries)


def test_same_entries_in_another_order_and_at_another_time_give_the_same_bytes(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and more")
    file = File(path="program", content=program, mode=0o755)
    write_image(build(*ENTRIES, file), tmp_path / "one.tar")
    os.utime(program, (1, 1))
    program.chmod(0o600)
    write_image(build(file, *reversed(ENTRIES)), tmp_path / "two.tar")

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.tar", "program", "two.tar"]


@pytest.mark.parametrize(
    "other",
    [
        build(*ENTRIES, tag="example.test/hello:2"),
        build(*ENTRIES[:-1]),
        build(*ENTRIES, File(path="more", content=b"")),
        Image(tag="example.test/hello:1", entrypoint=("/other",), entries=ENTRIES),
    ],
)
def test_whatever_differs_shows_in_the_bytes(tmp_path: Path, other: Image) -> None:
    write_image(build(*ENTRIES), tmp_path / "one.tar")
    write_image(other, tmp_path / "two.tar")
    assert (tmp_path / "one.tar").read_bytes() != (tmp_path / "two.tar").read_bytes()


def test_an_archive_names_its_parts_by_their_digests(tmp_path: Path) -> None:
    write_image(build(*ENTRIES), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        parts = {member.name: read(archive, member.name) for member in archive.getmembers()}

    [manifest] = json.loads(parts["manifest.json"])
    config, [layer] = manifest["Config"], manifest["Layers"]
    digest = hashlib.sha256(parts[layer]).hexdigest()
    assert manifest["RepoTags"] == ["example.test/hello:1"]
    assert set(parts) == {"manifest.json", config, layer}
    assert config == f"{hashlib.sha256(parts[config]).hexdigest()}.json"
    assert layer == f"{digest}/layer.tar"
    assert json.loads(parts[config])["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    assert json.loads(parts[config])["config"]["Entrypoint"] == ["/usr/local/bin/hello"]


def test_a_layer_belongs_to_root_has_no_time_and_brings_its_folders(tmp_path: Path) -> None:
    write_image(build(*ENTRIES), tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        name = next(member.name for member in archive.getmembers() if member.name.endswith("layer.tar"))
        with tarfile.open(fileobj=io.BytesIO(read(archive, name))) as layer:
            members = layer.getmembers()

    assert [(one.name, oct(one.mode), one.linkname) for one in members] == [
        ("bin", "0o777", "usr/bin"),
        ("tmp", "0o1777", ""),
        ("usr", "0o755", ""),
        ("usr/local", "0o755", ""),
        ("usr/local/bin", "0o755", ""),
        ("usr/local/bin/hello", "0o755", ""),
    ]
    assert {(one.uid, one.gid, one.uname, one.gname, one.mtime) for one in members} == {(0, 0, "", "", 0)}


def test_two_different_entries_of_one_name_are_refused() -> None:
    twins = (File(path="etc/passwd", content=b"a"), File(path="/etc/passwd", content=b"b"))
    with pytest.raises(ValueError, match="two different entries for etc/passwd"):
        sort_entries(twins)


def read(archive: tarfile.TarFile, name: str) -> bytes:
    content = archive.extractfile(name)
    assert content is not None
    return content.read()
