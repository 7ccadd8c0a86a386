"""Run lessons through a kernel, and keep what they print and draw: `NAME.py` -> `NAME.ipynb`.

python notebooks/execute.py [NAME ...]     # all of them without names; needs the extra `notebooks`
"""

import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
LESSONS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))


def execute(script: Path) -> nbformat.NotebookNode:
    """The lesson with its outputs, as a fresh kernel gives them."""
    notebook = jupytext.read(script)
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook.metadata["kernelspec"] = kernel
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": FOLDER}}).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _announces(output)]
            cell.metadata.pop("execution", None)  # times, which differ each time
    return notebook


def _announces(output) -> bool:
    """Whether it only says that something is being compiled, which depends on the machine."""
    return output.get("name") == "stderr" and output.text.startswith("jaxmpc: compiling")


def main(names: list[str]):
    """Write the notebooks of the lessons whose names begin so."""
    for script in LESSONS:
        if not names or any(script.name.startswith(name) for name in names):
            nbformat.write(execute(script), script.with_suffix(".ipynb"))
            print(f"wrote {script.with_suffix('.ipynb').name}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
