"""What an API server's metrics tell of deprecated APIs, and what a change makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.cluster import Finding
from atoll.fleet.values import Version
from atoll.kube.deprecated import (
    DeprecatedApi,
    build_gone,
    build_later,
    is_taken_away,
    merge_findings,
    parse_release,
)
from atoll.kube.deprecated_metrics import parse_uses


def line(**labels: str) -> str:
    told = {
        "group": "g.io",
        "removed_release": "1.40",
        "resource": "things",
        "subresource": "",
        "version": "v1beta1",
        **labels,
    }
    inner = ",".join(f'{name}="{value}"' for name, value in told.items())
    return f"apiserver_requested_deprecated_apis{{{inner}}} 1\n"


RECORDED = (
    """\
# HELP apiserver_request_total [STABLE] Counter of apiserver requests broken out for each verb, dry run value, group.
# TYPE apiserver_request_total counter
apiserver_request_total{code="200",component="apiserver",group="",resource="nodes",verb="LIST",version="v1"} 3
# HELP apiserver_requested_deprecated_apis [STABLE] Gauge of deprecated APIs that have been requested, broken out by \
API group, version, resource, subresource, and removed_release.
# TYPE apiserver_requested_deprecated_apis gauge
"""
    + line(group="", removed_release="", resource="componentstatuses", version="v1")
    + line(group="", removed_release="", resource="endpoints", version="v1")
    + line(group="coordination.k8s.io", removed_release="1.39", resource="leasecandidates")
    + line(group="networking.k8s.io", removed_release="1.37", resource="servicecidrs")
    + line(group="networking.k8s.io", removed_release="1.37", resource="servicecidrs", subresource="status")
    + line(group="resource.k8s.io", removed_release="1.38", resource="resourceclaims")
    + """\
# HELP apiserver_selfrequest_total [STABLE] Counter of apiserver self-requests broken out for each verb.
# TYPE apiserver_selfrequest_total counter
apiserver_selfrequest_total{group="",resource="configmaps",subresource="",verb="LIST"} 8
"""
)
"""Of a v1.36.4 plane that was asked for these, shortened."""
CIDRS = DeprecatedApi(group="networking.k8s.io", version="v1beta1", resource="servicecidrs", removed=Version(1, 37))
CLAIMS = DeprecatedApi(group="resource.k8s.io", version="v1beta1", resource="resourceclaims", removed=Version(1, 38))
LEASES = DeprecatedApi(
    group="coordination.k8s.io", version="v1beta1", resource="leasecandidates", removed=Version(1, 39)
)
V36 = Version.parse("v1.36.4")


def test_resources_are_told_once_in_the_order_in_which_they_go_and_those_that_stay_are_left_out() -> None:
    assert parse_uses(RECORDED) == ((CIDRS, CLAIMS, LEASES), 0)


def test_a_line_that_makes_no_sense_is_counted_and_hides_no_other() -> None:
    bad = 'apiserver_requested_deprecated_apis{group="x 1\n'
    assert parse_uses(f"{bad}{RECORDED}{bad}") == ((CIDRS, CLAIMS, LEASES), 2)


@pytest.mark.parametrize(
    "labels",
    [
        {"group": "../../api/v1/secrets?x="},
        {"resource": "things/../../secrets"},
        {"version": ""},
        {"resource": "a b"},
        {"removed_release": "soon"},
        {"removed_release": "1.40.2"},
    ],
)
def test_names_that_are_no_names_never_become_parts_of_urls(labels: dict[str, str]) -> None:
    assert parse_uses(line(**labels)) == ((), 1)


def test_an_entry_that_was_set_back_is_no_use() -> None:
    assert parse_uses(line().replace("} 1", "} 0")) == ((), 0)


def test_an_endless_list_is_cut() -> None:
    uses, unreadable = parse_uses("".join(line(resource=f"r{number}") for number in range(1000)))
    assert (len(uses), unreadable) == (200, 0)


@given(
    st.lists(
        st.one_of(
            st.text(),
            st.text().map(lambda text: f"apiserver_requested_deprecated_apis{text}"),
            st.text(alphabet='{}",=\\ 1.\t#ag').map(lambda text: f"apiserver_requested_deprecated_apis{{{text}"),
            st.builds(lambda value: line(resource=value), st.text()),
            st.builds(lambda value: line(removed_release=value), st.text(alphabet="0123456789.")),
        )
    ).map("\n".join)
)
def test_no_text_breaks_the_parser_and_what_it_tells_can_be_told(text: str) -> None:
    uses, unreadable = parse_uses(text)
    assert unreadable >= 0
    for api in uses:
        assert api.field.isprintable()
        assert " " not in api.field
        assert build_later(api).message.isprintable()


@pytest.mark.parametrize(
    ("removed", "target", "expected"),
    [
        ("1.38", "v1.38.0", True),
        ("1.38", "v1.39.1", True),
        ("1.38", "v1.37.9", False),
        ("1.38", "v1.38", True),
        # Some servers keep for one release more what should be gone: the next minor takes it, a patch does not.
        ("1.36", "v1.36.5", False),
        ("1.36", "v1.37.0", True),
        ("2.0", "v1.99.0", False),
    ],
)
def test_an_api_goes_with_its_release_and_never_within_a_minor(removed: str, target: str, expected: bool) -> None:
    release = parse_release(removed)
    assert release is not None
    assert is_taken_away(release, served=V36, target=Version.parse(target)) is expected


def test_the_finding_names_callers_when_they_are_known_and_the_way_to_them_when_not() -> None:
    target = Version.parse("v1.38.0")
    known = build_gone(CLAIMS, [f"user {number}" for number in range(7)], target=target)
    assert known == Finding(
        reason="DeprecatedAPIInUse",
        message="resourceclaims of resource.k8s.io/v1beta1 go with v1.38, which a change to v1.38.0 reaches: used by "
        "user 0; user 1; user 2; user 3; user 4; and 2 more. Let its clients use what has replaced it; the API server "
        "remembers a use until it starts again, an audit log is believed for a day",
        field="api:resource.k8s.io/v1beta1/resourceclaims",
    )
    unknown = build_gone(CLAIMS, (), target=target, replacement="resource.k8s.io/v1")
    assert "annotation `k8s.io/removed-release` (local clusters keep one when the operator runs with --audit)" in (
        unknown.message
    )
    assert "Let its clients use resource.k8s.io/v1;" in unknown.message


def test_one_api_is_told_once_and_as_it_was_told_first() -> None:
    told = Finding(reason="DeprecatedAPIInUse", message="by tenant a", field=CLAIMS.field)
    again = Finding(reason="DeprecatedAPIInUse", message="by somebody", field=CLAIMS.field)
    two = [Finding(reason="VersionSkew", message=text, field="nodes") for text in ("old", "new")]
    assert merge_findings([told, *two, again]) == (told, *two)
