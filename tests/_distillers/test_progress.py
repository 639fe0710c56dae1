"""What a fit shows while it runs."""

from __future__ import annotations

import re

import pytest

from ..helpers import (
    tiny,
)


def test_verbose_0_is_silent(table, capfd):
    tiny(verbose=0).fit(*table)
    assert capfd.readouterr() == ("", "")


def test_verbose_1_shows_a_bar(table, capsys):
    distiller = tiny(verbose=1).fit(*table)
    out, err = capsys.readouterr()
    assert out == f"{distiller.plan_}\nthe fit ended: max_iter\n"
    last = err.replace("\n", "\r").strip("\r").split("\r")[-1]
    assert re.search(r"3/3 .*loss=\d.*val=\d", last)
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", last), "time left"


@pytest.mark.system
def test_the_bar_ends_where_the_time_does(table, capsys):
    distiller = tiny(verbose=1, max_iter=10**6, max_time=0.5).fit(*table)
    *_, last = capsys.readouterr().err.split("\r")
    done, of = re.search(r"(\d+)/(\d+) ", last).groups()
    assert int(done) == distiller.n_iter_
    assert int(done) <= int(of) <= int(done) + 2


def test_verbose_2_prints_a_line_for_each_validation(table, capsys):
    distiller = tiny(verbose=2, max_iter=6).fit(*table)
    *lines, reason, last = capsys.readouterr().out.splitlines()
    n_of_plan = len(distiller.plan_)
    assert "\n".join(lines[:n_of_plan]) == str(distiller.plan_)
    lines = lines[n_of_plan:]
    assert len(lines) == 3
    assert reason == f"the fit ended: {distiller.stop_reason_}"
    assert re.fullmatch(r"traced_steps: \d+, autograd_steps: \d+, refusals: \[\]", last)
    for i, line in enumerate(lines):
        assert f"iteration {i + 1}:" in line
        assert f"loss {distiller.history_['loss'][i]:.4f}" in line
        assert f"validation score {distiller.history_['validation_score'][i]:.4f}" in line


def test_verbose_2_counts_all_steps(table, capsys):
    distiller = tiny(verbose=2).fit(*table)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == ", ".join(f"{name}: {of}" for name, of in distiller.acceleration_.items())
