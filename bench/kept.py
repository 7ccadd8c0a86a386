"""The results that are kept in bench/results."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def newest(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """The last result of each benchmark, and the name of its file."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text())
        before = found.get(content["benchmark"])
        if before is None or before[0]["machine"]["date"] <= content["machine"]["date"]:
            found[content["benchmark"]] = content, file.name
    return found
