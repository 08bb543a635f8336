"""Which management cluster is meant when nobody says so."""

from pathlib import Path

import pytest

from atoll.cli.options import choose_kubeconfig, home_folder

HOME = {"HOME": "/home/me"}
EMBEDDED = Path("/home/me/.local/share/atoll/management.kubeconfig")


@pytest.mark.parametrize(
    ("stated", "environ", "there", "wanted"),
    [
        ("given", HOME | {"KUBECONFIG": "/k"}, {EMBEDDED}, Path("given")),
        ("", HOME | {"KUBECONFIG": "/k"}, {EMBEDDED}, Path("/k")),
        ("", HOME | {"KUBECONFIG": "/none:/k"}, {Path("/k")}, Path("/k")),
        ("", HOME, {EMBEDDED}, EMBEDDED),
        ("", HOME | {"ATOLL_HOME": "/s"}, {Path("/s/management.kubeconfig")}, Path("/s/management.kubeconfig")),
        ("", HOME, set(), Path("/home/me/.kube/config")),
    ],
)
def test_stated_then_environment_then_embedded_then_home(stated, environ, there, wanted):
    assert choose_kubeconfig(stated, environ, there.__contains__) == wanted


def test_atoll_home_moves_all_embedded_state():
    assert home_folder(HOME) == Path("/home/me/.local/share/atoll")
    assert home_folder(HOME | {"ATOLL_HOME": "/srv/atoll"}) == Path("/srv/atoll")
