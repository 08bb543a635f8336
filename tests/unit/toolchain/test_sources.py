"""Sources are read from the environment: XDG, mirrors, switches."""

from __future__ import annotations

from pathlib import Path

import pytest

from atoll.errors import BadInput
from atoll.toolchain import Sources


def test_an_empty_environment_means_the_users_cache_and_the_official_hosts() -> None:
    assert Sources.from_environ({"HOME": "/home/ada"}) == Sources(
        assets=None,
        kubebuilder_assets=None,
        cache=Path("/home/ada/.cache/atoll/toolchain"),
        download="https://dl.k8s.io",
        download_etcd="https://github.com/etcd-io/etcd/releases/download",
        offline=False,
    )


def test_every_variable_has_its_say_and_a_mirror_serves_both_under_upstreams_paths() -> None:
    environ = {
        "HOME": "/home/ada",
        "XDG_CACHE_HOME": "/var/cache/ada",
        "ATOLL_ASSETS": "/srv/assets",
        "KUBEBUILDER_ASSETS": "/srv/envtest",
        "ATOLL_DOWNLOAD_MIRROR": "https://mirror.example.com/k8s/",
        "ATOLL_OFFLINE": "1",
    }
    assert Sources.from_environ(environ) == Sources(
        assets=Path("/srv/assets"),
        kubebuilder_assets=Path("/srv/envtest"),
        cache=Path("/var/cache/ada/atoll/toolchain"),
        download="https://mirror.example.com/k8s",
        download_etcd="https://mirror.example.com/k8s/etcd-io/etcd/releases/download",
        offline=True,
    )


def test_a_relative_xdg_cache_home_is_ignored_as_the_specification_asks() -> None:
    sources = Sources.from_environ({"HOME": "/home/ada", "XDG_CACHE_HOME": "cache"})
    assert sources.cache == Path("/home/ada/.cache/atoll/toolchain")


@pytest.mark.parametrize(
    "mirror",
    ["http://mirror.example.com", "mirror.example.com", "file:///srv", "https://ada:secret@mirror.example.com"],
)
def test_a_mirror_without_tls_or_with_a_password_is_refused_and_not_repeated(mirror: str) -> None:
    with pytest.raises(BadInput, match="must be an https:// URL") as refusal:
        Sources.from_environ({"HOME": "/home/ada", "ATOLL_DOWNLOAD_MIRROR": mirror})
    assert "secret" not in str(refusal.value)
    assert refusal.value.field == "ATOLL_DOWNLOAD_MIRROR"
