"""Which lines of a log tell why a program ended."""

from __future__ import annotations

from atoll.planes.processes import choose_telling_lines

INFO = "I1121 10:55:43.723881   23450 autoregister_controller.go:144] Starting autoregister controller"
ERROR = 'E1121 10:55:44.000000   23450 run.go:72] "command failed" err="unknown flag: --nonsense"'


def test_information_is_left_out_where_there_is_anything_else() -> None:
    etcd = '{"level":"info","msg":"ready to serve"}\n{"level":"fatal","msg":"discovery failed"}'
    assert choose_telling_lines(f"{INFO}\n{ERROR}\n{INFO}\n") == ERROR
    assert choose_telling_lines(etcd) == '{"level":"fatal","msg":"discovery failed"}'
    assert choose_telling_lines(INFO) == INFO


def test_only_the_last_lines_are_told_and_none_at_length() -> None:
    assert choose_telling_lines("\n".join("abcde")) == "c\nd\ne"
    assert len(choose_telling_lines("x" * 5000)) == 300


def test_what_a_living_neighbour_writes_into_the_same_log_is_no_cause() -> None:
    stranger = 'E1121 10:55:45.000000    1571 authentication.go:75] "Unable to authenticate the request"'
    panic = "panic: the release is broken"

    assert choose_telling_lines(f"{stranger}\n{panic}\n{stranger}\n", {1571}) == panic
    assert choose_telling_lines(f"{ERROR}\n{stranger}\n", {1571}) == ERROR
    assert choose_telling_lines(f"{stranger}\n", {1571}) == stranger, "better than nothing"
