"""A set of throw-away hosts: made, booted in parallel, and removed with everything that was made for them."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

from .carrier import Carrier
from .failure import RigFailure
from .host import RigHost
from .identity import Identity, make_identity, make_login_key, read_identity
from .machine import prepare_machine, raise_inotify_limits, restore_inotify_limits
from .network import build_segment, choose_address, is_any_bridge_left, make_bridge, remove_bridge
from .places import find_cache, locked
from .rootfs import LOGIN_USER, find_layers, make_layers

T = TypeVar("T")

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,23}")
_MANY: Final = 8


class Rig:
    """Hosts below one folder, on one bridge. As a context manager it takes everything down in the end."""

    def __init__(self, folder: Path, *, segment: int | None = None, cache: Path | None = None) -> None:
        self.folder = folder.absolute()
        self.cache = cache or find_cache(os.environ)
        self._hosts: dict[str, RigHost] = {}
        self._record = self.folder / "segment.json"
        number = self._choose_segment(segment)
        self._number = number
        self.segment = build_segment(number)

    @property
    def bundle_path(self) -> Path:
        """Folder of binaries and images, `v1.36.4/{bin,images}` and so on; `bundles.make_bundles` fills it."""
        return self.cache / "bundle"

    @property
    def private_key(self) -> str:
        """OpenSSH text of the key that opens every host, as root and as `deploy`."""
        return make_login_key(self.folder).read_text()

    @property
    def private_key_path(self) -> Path:
        """Where that key lies."""
        return make_login_key(self.folder)

    def up(self, *names: str) -> tuple[RigHost, ...]:
        """Switch hosts on, new or kept, and wait until sshd of each answers with its key."""
        for name in names:
            if not _NAME.fullmatch(name):
                raise RigFailure(f"{name!r} is no name for a host: write up to 24 of a-z, 0-9 and -, a letter first")
        prepare_machine()
        layers = make_layers(self.cache)
        with locked(self.folder / ".lock"):
            self._make_segment()
            key = make_login_key(self.folder).with_suffix(".pub").read_text()
            hosts = []
            for name in names:
                folder = self._folder_of(name)
                identity = read_identity(folder) or make_identity(
                    folder,
                    name,
                    choose_address(self.segment, self._taken_addresses()),
                    self.segment,
                    debian=layers.debian,
                    login_user=LOGIN_USER,
                    public_key=key,
                )
                hosts.append(self._hosts.get(name) or self._open(identity))
            self._hosts.update({host.name: host for host in hosts})
            in_parallel(RigHost.boot, hosts)
        return tuple(hosts)

    def down(self, *names: str, keep: bool = False) -> None:
        """Switch hosts off, all when none is named; `keep` keeps their disks for the next `up`."""
        with locked(self.folder / ".lock"):
            gone = names or self._list_names()
            in_parallel(RigHost.power_off, [self._hosts.get(name) or self._reopen(name) for name in gone])
            if not keep:
                for name in gone:
                    shutil.rmtree(self._folder_of(name), ignore_errors=True)
                    self._hosts.pop(name, None)
            if not any(host.is_on for host in self.list_hosts()):
                self._remove_segment()

    def close(self) -> None:
        """Take everything down and remove the folder's contents that are ours."""
        self.down()
        for name in ("hosts", "login_key", "login_key.pub", "segment.json"):
            path = self.folder / name
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        (self.folder / ".lock").unlink(missing_ok=True)

    def host(self, name: str) -> RigHost:
        """Return a host that was made before."""
        if not self._folder_of(name).is_dir():
            raise RigFailure(f"there is no host {name!r} in {self.folder}: bring it up first")
        return self._hosts.get(name) or self._reopen(name)

    def list_hosts(self) -> tuple[RigHost, ...]:
        """List all hosts of the folder, on or off."""
        return tuple(self.host(name) for name in self._list_names())

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, identity: Identity) -> RigHost:
        folder = self._folder_of(identity.name)
        carrier = Carrier(folder, f"{self.segment.bridge}-{identity.name}")
        return RigHost(folder, identity, carrier, find_layers(self.cache), bridge=self.segment.bridge)

    def _reopen(self, name: str) -> RigHost:
        """Open what lies in a host's folder, even when it was never finished, so that it can be removed."""
        identity = read_identity(self._folder_of(name))
        return self._open(identity or Identity(name=name, address="", machine_id="", host_key=""))

    def _list_names(self) -> tuple[str, ...]:
        return tuple(sorted(path.name for path in (self.folder / "hosts").glob("*/")))

    def _folder_of(self, name: str) -> Path:
        return self.folder / "hosts" / name

    def _taken_addresses(self) -> frozenset[IPv4Address]:
        identities = (read_identity(self._folder_of(name)) for name in self._list_names())
        return frozenset(IPv4Address(identity.address) for identity in identities if identity)

    def _choose_segment(self, stated: int | None) -> int:
        recorded = json.loads(self._record.read_text())["segment"] if self._record.exists() else None
        if None not in (stated, recorded) and stated != recorded and self._list_names():
            raise RigFailure(
                f"the hosts in {self.folder} are on segment {recorded}: take them down before you change it"
            )
        for number in (stated, recorded):
            if number is not None:
                return int(number)
        return int(os.environ.get("ATOLL_RIG_SEGMENT", "0"))

    def _make_segment(self) -> None:
        # Limits are noted before anything else, so that what was raised can be put back whatever happens.
        before = json.loads(self._record.read_text()) if self._record.exists() else {}
        changed = before.get("inotify", {}) | raise_inotify_limits()
        self._record.write_text(json.dumps({"segment": self._number, "inotify": changed}))
        make_bridge(self.segment, self.folder)

    def _remove_segment(self) -> None:
        remove_bridge(self.segment, self.folder)
        if self._record.exists() and not is_any_bridge_left():
            record = json.loads(self._record.read_text())
            restore_inotify_limits(record.get("inotify", {}))
            self._record.write_text(json.dumps(record | {"inotify": {}}))


def in_parallel(act: Callable[[RigHost], T], hosts: Sequence[RigHost]) -> list[T]:
    """Do something with several hosts at once; all are done with before the first failure is raised."""
    with ThreadPoolExecutor(max_workers=_MANY) as pool:
        running = [pool.submit(act, host) for host in hosts]
    return [one.result() for one in running]
