"""The cache believes the newest word about an object, wherever it comes from."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from atoll.shell.cache import Cache

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def tenant(name: str = "shop", *, version: int = 1, generation: int = 1, uid: str = "u1", **metadata):
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Tenant",
        "metadata": {
            "name": name,
            "namespace": "fleet",
            "uid": uid,
            "resourceVersion": str(version),
            "generation": generation,
            **metadata,
        },
        "spec": {"generation": generation},
    }


def test_an_older_word_changes_nothing():
    cache = Cache()
    cache.put(tenant(version=5, generation=2), at(0))

    assert not cache.put(tenant(version=4, generation=1), at(1))
    assert cache.get("fleet", "Tenant", "shop")["spec"] == {"generation": 2}


def test_the_echo_of_our_own_write_is_no_news():
    cache = Cache()
    cache.put(tenant(version=5), at(0))

    assert not cache.put(tenant(version=5), at(1))


def test_a_change_of_what_nobody_reads_is_no_news_and_is_kept():
    cache = Cache()
    cache.put(tenant(version=5), at(0))

    assert not cache.put(tenant(version=6, annotations={"their.example/note": "x"}), at(1))
    assert cache.put(tenant(version=7, annotations={"atoll.dev/release": "x"}), at(2))
    assert cache.get("fleet", "Tenant", "shop")["metadata"]["resourceVersion"] == "7"


def test_a_generation_is_seen_when_it_first_comes():
    cache = Cache()
    cache.put(tenant(version=5, generation=2), at(0))
    cache.put(tenant(version=6, generation=2, labels={"a": "b"}), at(1))

    assert cache.seen("fleet") == {("Tenant", "shop"): at(0)}
    cache.put(tenant(version=7, generation=3), at(2))
    assert cache.seen("fleet") == {("Tenant", "shop"): at(2)}


def test_an_object_made_anew_under_the_same_name_is_another_one():
    cache = Cache()
    cache.put(tenant(version=50, uid="old"), at(0))

    assert cache.put(tenant(version=51, uid="new"), at(1))
    assert not cache.drop("fleet", "Tenant", "shop", "old"), "a late word about the old one"
    assert cache.get("fleet", "Tenant", "shop")["metadata"]["uid"] == "new"


def test_a_list_forgets_what_is_gone():
    cache = Cache()
    cache.put(tenant("shop"), at(0))
    cache.put(tenant("pay", uid="u2"), at(0))

    assert cache.replace_kind("Tenant", [tenant("shop")], at(5)) == {"fleet"}
    assert [body["metadata"]["name"] for body in cache.of_kind("fleet", "Tenant")] == ["shop"]


def test_a_list_does_not_forget_what_a_watch_told_while_it_was_on_its_way():
    cache = Cache()
    asked = at(5)
    cache.put(tenant("late", version=9), at(5.1))

    assert cache.replace_kind("Tenant", [], asked) == set()
    assert cache.get("fleet", "Tenant", "late") is not None
