"""The evidence pack: every rule with its object, nothing green that was not seen, the same bytes for the same fleet."""

import json
import subprocess
import sys
from copy import deepcopy
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.cli.main import atoll
from atoll.cli.report_html import build_page
from atoll.cli.report_index import Seen
from atoll.cli.report_model import build_report, compute_digest, write_canonical, write_json
from atoll.cli.report_view import choose_next, render_report

from .fleet_bodies import build, cluster, cluster_set
from .report_fleet import GUARDS, SEEN, SEEN_A, SILENT, build_fleet_bodies, inside, place, placed

GOLDEN = Path(__file__).parent / "golden" / "report.json"
MARKUP = """</td></style><script>alert("1")</script><img src=x onerror='1'>&amp;"""
VOID = {"meta"}


class Reader(HTMLParser):
    """Reads a page, and fails where its elements do not close as they were opened."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read_page(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def report(**changed: Any) -> dict[str, Any]:
    return build_report("fleet", build_fleet_bodies(), {**SEEN, **changed})


def find(rows: list[dict[str, Any]], **wanted: str) -> dict[str, Any]:
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    return row


def replace_texts(value: Any, text: str) -> Any:
    """Put a text behind every text of a body, names and keys of status included."""
    if isinstance(value, dict):
        return {key: replace_texts(item, text) for key, item in value.items()}
    if isinstance(value, list):
        return [replace_texts(item, text) for item in value]
    return f"{value}{text}" if isinstance(value, str) else value


def test_the_whole_pack_is_as_it_was(update_golden):
    text = write_json(report())
    if update_golden:
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)

    assert text == GOLDEN.read_text()


@settings(max_examples=30, deadline=None)
@given(st.permutations(build_fleet_bodies()), st.randoms(use_true_random=False))
def test_the_order_in_which_things_were_read_changes_no_byte(bodies, random):
    shuffled = list(SEEN_A.objects.items())
    random.shuffle(shuffled)
    bodies = [deepcopy(body) for body in bodies]
    for body in bodies:
        for key in ("placements", "verification"):
            random.shuffle(body["status"].get(key, []))
    pack = build_report("fleet", bodies, {"apps--b": SILENT, "apps--a": Seen(objects=dict(shuffled))})

    assert write_json(pack) == write_json(report())
    assert build_page(pack) == build_page(report())


def test_the_digest_is_that_of_the_canonical_json_and_stands_last():
    pack = report()
    read_back = json.loads(write_json(pack))

    assert list(read_back)[-1] == "digest"
    assert compute_digest(read_back) == pack["digest"]
    assert json.loads(write_canonical(pack)) == {key: value for key, value in pack.items() if key != "digest"}
    assert compute_digest({**pack, "fleet": "other"}) != pack["digest"]
    assert build_page(pack).count(pack["digest"]) == 2


def test_each_rule_names_the_object_that_brought_it():
    pay = find(report()["placements"], tenant="pay")

    assert [(row["name"], row["demandedBy"], row["attestedBy"], row["exists"]) for row in pay["regimes"]] == [
        ("gdpr", ["Environment/prod"], ["ClusterSet/apps clusters[a]"], True),
        ("internal", [], ["ClusterSet/apps"], True),
        ("pci", ["Tenant/pay"], [], False),
    ]
    assert [(row["rule"], row["value"], row["from"]) for row in pay["rules"]] == [
        ("approvals", "2", "Regime/gdpr"),
        ("countries", "DE, FR", "Regime/gdpr"),
        ("isolation", "Namespace", "Environment/prod"),
        ("labels", "data=personal", "Regime/gdpr"),
        ("maxMinorsBehind", "0", "Regime/gdpr"),
        ("minSoakSeconds", "60", "Regime/gdpr"),
        ("podSecurity", "restricted", "Regime/gdpr"),
    ]


def test_what_enforces_a_namespace_is_what_the_child_showed():
    pay = find(report()["placements"], tenant="pay")

    assert pay["enforcedBy"]["result"] == "Seen"
    assert [(item["kind"], item["namespace"], item["name"]) for item in pay["enforcedBy"]["objects"]] == [
        ("LimitRange", "pay--prod", "atoll"),
        ("Namespace", "", "pay--prod"),
        ("NetworkPolicy", "pay--prod", "atoll-default"),
        ("ResourceQuota", "pay--prod", "atoll"),
        ("RoleBinding", "pay--prod", "atoll:developer"),
        ("ServiceAccount", "atoll-system", "pay--developer"),
    ]
    assert [item["name"] for item in find(report()["clusters"], name="apps--a")["guards"]] == [
        "atoll:developer",
        "atoll-system",
        "atoll-protect",
    ]


def test_a_silent_child_is_not_seen_and_nothing_on_it_is_green():
    pack = report()

    dev = find(pack["placements"], tenant="shop", environment="dev")
    assert dev["enforcedBy"] == {"result": "NotSeen", "reason": SILENT.reason, "objects": [], "missing": []}
    article = build_page(pack).split("<h3>apps--b ")[1].split("</article>")[0]
    assert "? not seen" in article
    assert "? Passed" in article
    assert 'class="state good"' not in article
    lines = [line.plain for line in render_report(pack)]
    assert [line for line in lines if line.startswith("  apps--b")] == [
        f"  apps--b                v1.36.4 US     ? not seen: {SILENT.reason}   attested for internal"
    ]


def test_a_placement_with_an_exception_is_red_wherever_it_is():
    where = build_page(report()).split("<h2>What runs where")[1].split("</section>")[0]
    states = [row.count("✗ Placed") - row.count("✓ Placed") for row in where.split("<tr>")[2:]]

    # pay/prod lacks an attestation, shop/dev was not seen, shop/prod is well on apps--a and broken on apps--b.
    assert states == [1, 0, -1, 1]


def test_every_exception_is_told_once():
    told = [(row["object"], row["cluster"], row["rule"]) for row in report()["exceptions"]]

    assert told == [
        ("ChildCluster/apps--b", "apps--b", "border"),
        ("ChildCluster/apps--b", "apps--b", "border"),
        ("ChildCluster/apps--b", "apps--b", "not-seen"),
        ("ChildCluster/apps--b", "apps--b", "verification"),
        ("Regime/pci", "", "regime-missing"),
        ("Tenant/lab", "", "unplaced"),
        ("Tenant/pay", "apps--a", "not-attested"),
        ("Tenant/shop", "apps--b", "country"),
        ("Tenant/shop", "apps--b", "not-attested"),
    ]
    assert [row["message"] for row in report()["exceptions"][:2]] == [
        "1 more let somebody through",
        "lab crosses the border of shop (reads): list secrets in shop--dev",
    ]


@pytest.mark.parametrize(
    ("objects", "rule", "message"),
    [
        (
            inside("pay", "pay--prod", without="NetworkPolicy"),
            "enforcement",
            "NetworkPolicy was not found in namespace pay--prod",
        ),
        (
            inside("pay", "pay--prod", level="baseline"),
            "podSecurity",
            "namespace pay--prod (environment prod) enforces baseline; restricted is demanded",
        ),
        ([], "enforcement", "LimitRange, Namespace, NetworkPolicy, ResourceQuota was not found in namespace pay--prod"),
    ],
)
def test_a_guard_that_is_missing_or_weaker_is_an_exception(objects, rule, message):
    seen = Seen(objects=dict([*GUARDS, *objects, *inside("shop", "shop--prod")]))
    found = [row for row in report(**{"apps--a": seen})["exceptions"] if row["rule"] == rule]

    where = {"object": "Tenant/pay", "cluster": "apps--a", "namespace": "pay--prod"}
    assert found == [{**where, "rule": rule, "message": message}]


def test_objects_of_somebody_else_enforce_nothing():
    stranger = {key: {**body, "metadata": {"name": key[2]}} for key, body in inside("pay", "pay--prod")}
    pack = report(**{"apps--a": Seen(objects=stranger)})

    assert find(pack["placements"], tenant="pay")["enforcedBy"]["objects"] == []


@pytest.mark.parametrize(
    ("country", "result"), [("DE", "Kept"), ("US", "Broken"), (None, "Broken")], ids=["allowed", "other", "unknown"]
)
def test_residency_compares_the_country_of_the_member(country, result):
    member = {"name": "a", "regimes": ["gdpr"], **({"country": country} if country else {})}
    bodies = [
        build("ClusterSet", "apps", spec={"clusters": [member]}),
        cluster("a"),
        build("Environment", "dev"),
        build("Regime", "gdpr", spec={"countries": ["DE", "FR"]}),
        build("Regime", "de", spec={"countries": ["DE", "IT"]}),
        placed("shop", place("dev", "shop--dev", "apps--a"), regimes=("de",)),
    ]
    (row,) = build_report("fleet", bodies, {})["placements"]

    assert row["residency"] == {"country": country or "", "allowed": ["DE"], "result": result}


def test_isolation_that_is_lower_than_demanded_is_an_exception():
    bodies = [
        cluster_set("a", available=1),
        cluster("a"),
        build("Environment", "dev", spec={"isolation": "Cluster"}),
        placed("shop", place("dev", "shop--dev", "apps--a")),
    ]
    pack = build_report("fleet", bodies, {"apps--a": Seen(objects=dict(inside("shop", "shop--dev")))})

    assert pack["placements"][0]["isolation"] == {"demanded": "Cluster", "given": "Namespace"}
    assert [row["rule"] for row in pack["exceptions"]] == ["isolation"]


def test_a_fleet_without_anything_has_a_pack_too():
    pack = build_report("empty", [], {})

    assert pack["summary"] == dict.fromkeys(pack["summary"], 0)
    assert "no rule is broken" in "".join(read_page(build_page(pack)).text)
    assert next(line.plain for line in render_report(pack)).endswith("no exceptions")
    assert choose_next(pack) == ["atoll report -n empty -o html --output-file evidence.html"]


def test_objects_that_nobody_has_looked_at_yet_are_reported():
    bodies = [{"kind": kind, "metadata": {"name": "x", "namespace": "fleet"}} for kind in
              ("ClusterSet", "ChildCluster", "Environment", "Tenant", "Regime", "Rollout")]  # fmt: skip
    pack = build_report("fleet", bodies, {})

    read_page(build_page(pack))
    assert [row["rule"] for row in pack["exceptions"]] == ["not-seen"]


def test_the_page_is_whole_and_loads_nothing():
    page = build_page(report())
    reader = read_page(page)

    assert reader.tags & {"script", "link", "img", "iframe", "object", "form"} == set()
    assert not {name for name in reader.attributes if name.startswith("on") or name in {"src", "href", "style"}}
    assert "http" not in page.replace(SILENT.reason, "").replace('http-equiv="', "")
    assert "@media print" in page
    assert "prefers-color-scheme: dark" in page


def test_markup_in_any_text_stays_text():
    bodies = [replace_texts(body, MARKUP) for body in build_fleet_bodies()]
    for body, plain in zip(bodies, build_fleet_bodies(), strict=True):
        body["kind"] = plain["kind"]
    seen = {f"{name}{MARKUP}": Seen(objects=shown.objects, reason=f"{shown.reason}{MARKUP}" if shown.reason else "")
            for name, shown in SEEN.items()}  # fmt: skip
    pack = build_report(f"fleet{MARKUP}", bodies, seen)
    reader = read_page(build_page(pack))

    assert reader.tags == read_page(build_page(report())).tags
    assert "".join(reader.text).count(MARKUP) > 50


def test_secrets_beside_what_is_reported_do_not_get_in():
    canary = "c4n4ry-of-a-secret"
    bodies = build_fleet_bodies()
    for body in bodies:
        body["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": canary}
        body["data"] = {"value": canary}
        body["spec"] = {**body["spec"], "provider": {"eks": {"credentials": canary}}, "token": canary}
        body["status"]["kubeconfigSecretRef"] = {"name": canary}
    bodies.append({"kind": "Secret", "metadata": {"name": canary, "namespace": "fleet"}, "data": {"value": canary}})
    extra = {"data": {"token": canary}, "secrets": [{"name": canary}]}
    objects = {
        key: {**body, **extra, "metadata": {**body["metadata"], "annotations": {"a": canary}}}
        for key, body in SEEN_A.objects.items()
    }
    for body in bodies:
        if body["kind"] == "ChildCluster":
            body["spec"]["provider"] = "local"
    pack = build_report("fleet", bodies, {**SEEN, "apps--a": Seen(objects=objects)})

    assert canary not in write_json(pack)
    assert canary not in build_page(pack)
    assert canary not in "".join(line.plain for line in render_report(pack))


def test_the_table_puts_exceptions_first_and_ends_with_the_next_command():
    pack = report()
    lines = [line.plain for line in render_report(pack)]

    assert lines[0] == "fleet  2 clusters, 1 seen; 3 tenants, 4 namespaces; 9 exceptions"
    assert lines[2].startswith("  ✗ ChildCluster/apps--b")
    assert (
        "    pay/prod             pay--prod                Placed   under gdpr, internal, pci, enforced by 6 objects"
        in lines
    )
    assert choose_next(pack)[0] == "atoll why childcluster/apps--b -n fleet"


def test_a_file_needs_a_form(tmp_path):
    result = CliRunner().invoke(atoll, ["report", "--output-file", str(tmp_path / "x")])

    assert result.exit_code == 2
    assert "Name the form of the file: -o json or -o html." in result.output


def test_the_help_of_the_verb_imports_nothing_heavy():
    code = (
        "import sys\nfrom atoll.cli.main import atoll\natoll.main(['report', '--help'], standalone_mode=False)\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}

    assert loaded & {"aiohttp", "kubernetes", "pydantic", "rich", "yaml"} == set()
