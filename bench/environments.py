"""A virtual environment of its own for each peer, so that no peer's pins reach ours."""

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

_FOLDER = Path(__file__).parent / ".environments"


def python_with(name: str, steps: Sequence[Sequence[str]]) -> str:
    """The Python of bench/.environments/NAME, made and filled by pip where it is not yet there.

    Each step is the arguments of one `pip install`. With no steps it is the Python that is
    running. An environment whose steps have changed is made again. Raises
    subprocess.CalledProcessError where pip fails.
    """
    if not steps:
        return sys.executable
    folder = _FOLDER / name
    stamp = folder / "requirements.txt"
    wanted = "\n".join(word for step in steps for word in step) + "\n"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not stamp.exists() or stamp.read_text() != wanted:
        print(
            f"making bench/.environments/{name}: {', '.join(map(' '.join, steps))}", file=sys.stderr
        )
        _FOLDER.mkdir(exist_ok=True)
        (_FOLDER / ".gitignore").write_text("*\n")
        venv.create(folder, clear=True, with_pip=True)
        for step in steps:
            subprocess.run([python, "-m", "pip", "install", "-q", *step], check=True)
        stamp.write_text(wanted)  # last, so that a broken install is not taken for a whole one
    return str(python)
