"""The main job, `python -m jaxmpc`: it runs, says the truth, and recovers the parameters."""

import re
import subprocess
import sys

import pytest
from PIL import Image

from jaxmpc import __main__ as program


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, f"{pattern} is not in\n{text}"
    return float(found.group(1))


def report(capsys, tmp_path, *options):
    assert program.main(["--plot", str(tmp_path), *options]) == 0
    return capsys.readouterr()


@pytest.mark.slow
def test_the_demo_recovers_the_dynamics(capsys, tmp_path):
    out, _ = report(capsys, tmp_path)
    for name in program.WRONG:
        assert number(rf"{name} .* (\S+)\n", out) < 1e-3, name
    assert number(r"never seen: (\S+)", out) < program.PAPER_TEST_LOSS


def test_the_demo_plans_like_the_paper_and_draws_it(capsys, tmp_path):
    out, err = report(capsys, tmp_path, "--steps", "10")
    assert "120 converged" in out
    assert number(r"mean cost +([\d.]+)", out) == pytest.approx(program.PAPER_COST, abs=1e-3)
    assert number(r"worst KKT residual +(\S+)", out) < 1e-8
    assert "10/10" in err  # the progress bar
    for name, least_frames in (("experts.png", 1), ("swing_up.png", 1), ("swing_up.gif", 80)):
        with Image.open(tmp_path / name) as image:
            assert min(image.size) > 300
            assert getattr(image, "n_frames", 1) >= least_frames


def test_bad_options_are_refused_at_once(capsys):
    with pytest.raises(SystemExit):
        program.main(["--steps", "0"])
    assert "--steps must be at least 1" in capsys.readouterr().err


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
