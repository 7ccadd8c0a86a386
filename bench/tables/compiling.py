"""What compilation takes, from the JSON file of `python -m bench.compile`."""

from typing import Any

from bench.tables.markdown import link, table


def render(content: dict[str, Any], file: str) -> str:
    """CPU-seconds until the first answer, their parts, the size of the program, the memory."""
    rows = [
        [
            of["name"],
            f"{of['total_s']:.1f}",
            f"{of['trace_s'] + of['lower_s']:.1f}",
            f"{of['xla_s']:.1f}",
            f"{of['instructions']:,}",
            f"{of['peak_mib']:.0f}",
        ]
        for of in content["results"]
    ]
    heads = ["program", "CPU-seconds", "JAX", "XLA", "instructions", "peak MiB"]
    machine = content["machine"]
    where = f"{machine['cpu']}, jaxlib {machine['jaxlib']}, float64"
    return f"`python -m bench.compile` ({where}, {link(file)}):\n\n{table(heads, rows)}\n"
