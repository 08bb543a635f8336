"""`atoll toolchain`, run as a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from atoll.cli.toolchain import choose_wanted, toolchain
from atoll.errors import BadInput
from atoll.toolchain import ETCD

from .programs import put_program

V = "v1.36.4"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "ATOLL_ASSETS": str(tmp_path / "assets"),
        "KUBEBUILDER_ASSETS": "",
        "ATOLL_DOWNLOAD_MIRROR": "https://127.0.0.1:1",
        "NO_COLOR": "1",
    }


def test_the_list_shows_what_is_there_what_is_missing_and_the_next_command(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    put_program(tmp_path / "assets" / V / "kube-apiserver")
    put_program(tmp_path / "cache/atoll/toolchain" / ETCD / "etcd")
    done = CliRunner().invoke(toolchain, [], env=environ)
    assert done.exit_code == 0, done.output
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows == [
        "VERSION BINARY SOURCE PATH",
        "v1.35.8 kube-apiserver ✗ missing",
        "v1.35.8 kube-controller-manager ✗ missing",
        "v1.35.8 kubectl ✗ missing",
        "v1.36.4 kube-apiserver ATOLL_ASSETS ~/assets/v1.36.4/kube-apiserver",
        "v1.36.4 kube-controller-manager ✗ missing",
        "v1.36.4 kubectl ✗ missing",
        "etcd-v3.6.8 etcd cache ~/cache/atoll/toolchain/etcd-v3.6.8/etcd",
        "etcd-v3.6.8 etcdctl ✗ missing",
        "etcd-v3.6.8 etcdutl ✗ missing",
        "",
        "7 missing. Next: atoll toolchain get v1.35.8 v1.36.4 etcd-v3.6.8",
    ]


def test_json_names_every_binary_with_null_for_what_is_missing(tmp_path: Path, environ: dict[str, str]) -> None:
    asset = put_program(tmp_path / "assets" / V / "kubelet")
    done = CliRunner().invoke(toolchain, ["-o", "json"], env=environ)
    binaries = json.loads(done.stdout)["binaries"]
    assert {"version": V, "binary": "kubelet", "source": "ATOLL_ASSETS", "path": str(asset)} in binaries
    assert {"version": V, "binary": "kubectl", "source": None, "path": None} in binaries


def test_get_of_what_is_there_says_so_and_what_comes_next(tmp_path: Path, environ: dict[str, str]) -> None:
    for binary in ("kube-apiserver", "kube-controller-manager", "kubectl"):
        put_program(tmp_path / "assets" / V / binary)
    for binary in ("etcd", "etcdctl", "etcdutl"):
        put_program(tmp_path / "assets" / ETCD / binary)
    done = CliRunner().invoke(toolchain, ["get", "1.36.4"], env=environ)
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "Nothing is missing.  Next: atoll up"


def test_get_tells_each_event_in_a_line_and_ends_with_the_reason(tmp_path: Path, environ: dict[str, str]) -> None:
    done = CliRunner().invoke(toolchain, ["get", "v1.37.0", "--binary", "kubectl"], env=environ)
    assert done.exit_code == 1
    assert done.stdout == ""
    events = done.stderr.splitlines()
    assert events[0].startswith("v1.37.0 kubectl: asking for https://127.0.0.1:1/release/v1.37.0/bin/")
    assert events[1] == "v1.37.0 kubectl: the official downloads: unreachable"
    assert events[2].startswith("Error: v1.37.0: no binaries for it. I looked in ATOLL_ASSETS, the cache, ")


def test_a_wrong_word_ends_in_a_sentence(environ: dict[str, str]) -> None:
    done = CliRunner().invoke(toolchain, ["get", "latest"], env=environ)
    assert (done.exit_code, done.stderr) == (
        1,
        "Error: 'latest' is not a version of Kubernetes or etcd. Write it in full, like v1.36.4 or etcd-v3.6.8.\n",
    )


def test_a_kubernetes_version_brings_its_etcd_and_named_binaries_go_where_they_belong() -> None:
    usual, etcds = ("kube-apiserver", "kube-controller-manager", "kubectl"), ("etcd", "etcdctl", "etcdutl")
    assert choose_wanted(("1.36.4",), ()) == ((V, usual), (ETCD, etcds))
    assert choose_wanted(("etcd-v3.5.0",), ()) == (("etcd-v3.5.0", etcds),)
    assert choose_wanted((V, V), ("kubelet", "etcdutl")) == ((V, ("kubelet",)), (ETCD, ("etcdutl",)))
    with pytest.raises(BadInput, match=r"'kubelt' is no binary of Kubernetes or etcd\. Choose from kube-apiserver"):
        choose_wanted((V,), ("kubelt",))


def test_importing_the_verb_loads_nothing_heavy() -> None:
    program = (
        "import sys, atoll.cli.toolchain; "
        "print([name for name in ('rich', 'ssl', 'tenacity', 'yaml', 'atoll.toolchain') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
