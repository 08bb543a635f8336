"""Packs by CP-SAT: a program of its own that runs where ortools is installed; problem and answer are JSON."""

from __future__ import annotations

import json
import sys
import time

from ortools.sat.python import cp_model  # type: ignore[import-not-found]


def main() -> None:
    """Read a problem, print the answer."""
    problem = json.load(sys.stdin)
    sizes, whole, bins = problem["sizes"], problem["whole"], problem["bins"]
    model = cp_model.CpModel()
    inside = [[model.new_bool_var("") for _ in range(bins)] for _ in sizes]
    used = [model.new_bool_var("") for _ in range(bins)]
    for row in inside:
        model.add_exactly_one(row)
    for home in range(bins):
        for place in range(len(sizes[0])):
            model.add(
                sum(size[place] * row[home] for size, row in zip(sizes, inside, strict=True)) <= whole * used[home]
            )
        if home:
            model.add_implication(used[home], used[home - 1])
    model.add(sum(used) >= problem["least"])
    model.minimize(sum(used))
    for row, start in zip(inside, problem["start"], strict=True):
        for home, literal in enumerate(row):
            model.add_hint(literal, home == start)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = problem["seconds"]
    solver.parameters.num_workers = 2
    solver.parameters.random_seed = 1
    began = time.perf_counter()
    status = solver.solve(model)
    found = status in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    answer = {
        "used": round(solver.objective_value) if found else bins,
        "bound": round(solver.best_objective_bound),
        "proved": status == cp_model.OPTIMAL,
        "seconds": time.perf_counter() - began,
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
