"""`python -m jaxmpc`: its demonstrations run, say the truth, and mind the terminal."""

import logging
import re
import subprocess
import sys

import pytest
from PIL import Image

from jaxmpc import __main__ as program
from jaxmpc.demos import catalogue, paper
from jaxmpc.demos.report import Report

PICTURES = {
    "cartpole": ("cartpole.png", "cartpole.gif"),
    "pendulum": ("pendulum.png", "pendulum.gif"),
    "quadrotor": ("quadrotor.png", "quadrotor.gif"),
    "obstacles": ("obstacles.png",),
    "learning": ("learning.png",),
    "loop": ("loop.png", "loop_times.png"),
    "paper": ("paper.png",),
}


@pytest.fixture(autouse=True)
def _the_logger_as_it_was():
    logger = logging.getLogger("jaxmpc")
    before = logger.level
    yield
    logger.setLevel(before)


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in\n{text}"
    return float(found.group(1))


def refused(capsys, *options):
    """The exit status, and what was said."""
    with pytest.raises(SystemExit) as ended:
        program.main(list(options))
    out, err = capsys.readouterr()
    return ended.value.code, out + err


def assert_plain(text):
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80, text


def test_there_are_pictures_of_every_demonstration():
    assert tuple(PICTURES) == catalogue.NAMES


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_a_demonstration_runs_and_draws(name, capsys, tmp_path):
    assert program.main([name, "--quick", "--plot", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert_plain(out)
    assert err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(PICTURES[name])
    for picture in PICTURES[name]:
        with Image.open(tmp_path / picture) as image:
            assert min(image.size) > 300
            assert getattr(image, "n_frames", 1) >= (12 if picture.endswith("gif") else 1)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalogue.NAMES)
def test_a_demonstration_goes_well_at_full_length(name, capsys):
    assert program.main([name]) == 0
    out = capsys.readouterr().out
    if name == "cartpole":
        assert "200 of 200" in out
        assert number(r"upright +([\d.]+) of 10 s", out) > 7.5
    if name == "paper":
        for parameter in paper.WRONG:
            assert number(rf"{parameter} .* (\S+)\n", out) < 1e-3, parameter
        assert number(r"never seen: (\S+)", out) < paper.PAPER_TEST_LOSS


def test_the_tour_begins_with_a_pole_that_stays_up(capsys, monkeypatch):
    ran = []
    monkeypatch.setattr(program, "demo", lambda name: lambda report, options: not ran.append(name))
    assert program.main([]) == 0
    assert ran == ["cartpole", "paper"]
    assert "--list" in capsys.readouterr().out


def test_what_does_not_go_well_is_the_exit_status(capsys, monkeypatch):
    monkeypatch.setattr(program, "demo", lambda name: lambda report, options: name != "paper")
    assert program.main(["cartpole"]) == 0
    assert program.main(["paper"]) == 1
    assert program.main([]) == 1


def test_the_paper_is_planned_like_the_paper(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert program.main(["paper", "--steps", "10"]) == 0
    out, err = capsys.readouterr()
    assert "120 converged" in out
    assert number(r"mean cost +([\d.]+)", out) == pytest.approx(paper.PAPER_COST, abs=1e-3)
    assert number(r"worst KKT residual +(\S+)", out) < 1e-8
    assert "10/10" in err  # the progress bar


def test_the_list_names_all_with_a_line_each(capsys):
    status, said = refused(capsys, "--list")
    assert status == 0
    assert [line.split()[0] for line in said.splitlines()] == list(catalogue.NAMES)
    assert all(len(line.split()) > 4 for line in said.splitlines())
    assert_plain(said)


def test_help_names_the_demonstrations(capsys):
    status, said = refused(capsys, "--help")
    assert status == 0
    assert catalogue.listing() in said
    assert_plain(said)


def test_a_misspelt_name_is_answered_with_the_nearest_and_the_list(capsys):
    status, said = refused(capsys, "pendulm")
    assert status == 2
    assert "'pendulm'; did you mean 'pendulum'?" in said
    assert catalogue.listing() in said
    assert_plain(said)
    status, said = refused(capsys, "xyz")
    assert status == 2
    assert "did you mean" not in said
    assert catalogue.listing() in said


def test_bad_options_are_refused_at_once(capsys):
    status, said = refused(capsys, "--steps", "0")
    assert status == 2
    assert "--steps must be at least 1, got 0" in said


def test_without_matplotlib_it_says_what_to_install(tmp_path):
    blocked = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import jaxmpc.__main__ as program\n"
        f"program.main(['--plot', {str(tmp_path)!r}])"
    )
    result = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert result.returncode == 1
    assert "pip install 'jaxmpc[plots]'" in result.stderr
    assert "Traceback" not in result.stderr


def say_everything():
    report = Report()
    report.heading("A heading")
    report.say("words " * 40)
    report.facts({"mass [kg]": "1.0", "a long one": "words " * 40})
    report.table(("", "before", "learned"), [("mass [kg]", 1.4, "1.0"), ("length [m]", 0.7, "1")])
    with report.waiting("compiling"):
        pass
    assert list(report.progress(range(3), "counting")) == [0, 1, 2]


@pytest.mark.parametrize("colours", [True, False])
def test_on_a_terminal_there_are_tables_and_colours(colours, capsys, monkeypatch):
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colours:
        monkeypatch.setenv("NO_COLOR", "1")
    say_everything()
    out, err = capsys.readouterr()
    assert ("\x1b[1;36m" in out) == colours
    written = re.sub(r"\x1b\[[\d;]*m", "", out)
    assert "mass [kg]" in written  # no markup
    assert "│" in written
    assert max(map(len, written.splitlines())) <= 80
    assert "counting: " in err  # the bar
    assert max(map(len, re.split(r"[\r\n]", err))) <= 80


def test_elsewhere_it_is_plain_text(capsys):
    say_everything()
    out, err = capsys.readouterr()
    assert_plain(out)
    assert err == ""
    assert "   mass [kg]       1.4       1.0\n" in out
