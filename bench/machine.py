"""Which machine a result is from, and where its JSON goes."""

import importlib.metadata
import json
import os
import platform
import re
from datetime import date
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """CPU model, cores that this process may use, memory, system, Python, packages, load."""
    packages = ("jax", "jaxlib", "numpy", "jaxmpc")
    usable = getattr(os, "sched_getaffinity", None)  # Linux only
    return {
        "cpu": _cpu_model(),
        "cores": len(usable(0)) if usable else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: version for name in packages if (version := _version(name))},
        "load_at_start": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "date": date.today().isoformat(),
    }


def save(name: str, machine: dict[str, Any], content: dict[str, Any], accelerator="") -> Path:
    """Write bench/results/NAME-MACHINE.json; MACHINE is made of what `describe` says."""
    label = f"{machine['cpu']} {machine['cores']}cores {accelerator}"
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    path = Path(__file__).parent / "results" / f"{name}-{slug}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **content}, indent=1) + "\n")
    return path


def save_own(name: str, machine: dict[str, Any], rows: list[dict[str, Any]]) -> Path:
    """`save` the rows of a benchmark in which jaxmpc takes part alone, in this process."""
    import jax  # not in the environments of the peers

    device = jax.devices()[0].device_kind
    content = {"benchmark": name, "contenders": {"jaxmpc": {"device": device}}, "results": rows}
    return save(name, machine, content, "" if jax.default_backend() == "cpu" else device)


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.exists() else None
    return found.group(1).strip() if found else platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
