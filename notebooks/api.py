"""Write `api.md`, the page of all public names, from their docstrings: `python notebooks/api.py`.

It reads the source and runs none of it: signatures stand on the page as they are written.
`tests/test_docstrings.py` runs the examples, and sees to it that the page is current.
"""

import ast
import functools
from pathlib import Path
from typing import NamedTuple

from api_markdown import Slugs, markdown, signature_of_class, signature_of_function

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "notebooks" / "api.md"

# Under which name a user finds the module, and where it is.
MODULES = {
    "jaxmpc": "jaxmpc",
    "jaxmpc.control": "jaxmpc.control",
    "jaxmpc.costs": "jaxmpc.costs",
    "jaxmpc.integrators": "jaxmpc.integrators",
    "jaxmpc.models": "jaxmpc.models",
    "jaxmpc.spaces": "jaxmpc.spaces",
    "jaxmpc.lq": "jaxmpc.lq",
    "jaxmpc.learning": "jaxmpc.learning",
    "jaxmpc.free_parameters": "jaxmpc.reformulations.free_parameters",
    "jaxmpc.slew_rate": "jaxmpc.reformulations.slew_rate",
    "jaxmpc.model_draws": "jaxmpc.reformulations.model_draws",
    "jaxmpc.plot": "jaxmpc.plot",
    "jaxmpc.interop.mujoco": "jaxmpc.interop.mujoco",
    "jaxmpc.interop.gymnasium": "jaxmpc.interop.gymnasium",
}

# What every example may use.
SHARED = """\
import jax
import jax.numpy as jnp
import jaxmpc
import numpy as np

np.set_printoptions(precision=3, suppress=True)

def dynamics(x, u, t, params):  # a mass on a rail: position and speed, steps of 0.1 s
    return x + 0.1 * jnp.array([x[1], u[0] / params["mass"]])

def stage_cost(x, u, t, params):
    return x @ x + 0.1 * u @ u

problem = jaxmpc.Problem(dynamics, stage_cost, horizon=10, control_dim=1, control_bounds=(-1, 1))
x0, params = jnp.array([1.0, 0.0]), {"mass": 1.0}
solution = jaxmpc.solve(problem, x0, params)

controller = jaxmpc.RecedingHorizon(problem)

def plant(x, u, t):  # what the controller drives: heavier than its model says
    return dynamics(x, u, t, {"mass": 1.2})
"""

Definition = ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class Entry(NamedTuple):
    """A public name, and its definition."""

    module: str  # where users find it
    name: str
    origin: str  # the module that defines it
    node: Definition

    @property
    def full(self) -> str:
        """The name as users write it."""
        return f"{self.module}.{self.name}"

    @property
    def is_constant(self) -> bool:
        """Whether it is a value, without a docstring."""
        return isinstance(self.node, ast.Assign | ast.AnnAssign)

    @property
    def docstring(self) -> str:
        """As `inspect.getdoc` has it; empty where there is none."""
        if isinstance(self.node, ast.Assign | ast.AnnAssign):
            return ""
        return ast.get_docstring(self.node) or ""


def entries() -> list[Entry]:
    """Every public name under every module that hands it on, by letter."""
    found = []
    for module, path in MODULES.items():
        for name, (origin, original) in sorted(_exported(path).items(), key=_by_letter):
            if not _file(f"{origin}.{original}"):  # a module is none of its parent's entries
                found.append(Entry(module, name, *_definition(origin, original)))
    return found


def public_names() -> list[str]:
    """All of them, as users write them."""
    return [entry.full for entry in entries()]


def documented() -> list[Entry]:
    """The same without repetitions and constants: what must have a docstring with an example."""
    first = {}
    for entry in entries():
        if not entry.is_constant:
            first.setdefault((entry.origin, entry.name), entry)
    return list(first.values())


def _by_letter(item: tuple[str, tuple]) -> tuple[str, str]:
    return item[0].lower(), item[0]


def _file(module: str) -> Path | None:
    """The file of a module, if it is one."""
    base = ROOT.joinpath(*module.split("."))
    found = [path for path in (base / "__init__.py", base.with_suffix(".py")) if path.exists()]
    return found[0] if found else None


@functools.cache
def _tree(module: str) -> tuple[str, ast.Module]:
    path = _file(module)
    assert path is not None, module
    text = path.read_text()
    return text, ast.parse(text)


def _exported(module: str) -> dict[str, tuple[str, str]]:
    """{public name: (module, its name there)}: definitions, and `import name as name`."""
    found = {}
    for node in _tree(module)[1].body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.asname == alias.name:
                    found[alias.name] = (node.module, alias.name)
        else:
            found |= {name: (module, name) for name in _names(node) if name[0] != "_"}
    return found


def _names(node: ast.AST) -> list[str]:
    """What a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


def _definition(module: str, name: str) -> tuple[str, Definition]:
    """The module and the statement that define a name, through all who hand it on."""
    for node in _tree(module)[1].body:
        if name in _names(node):
            return module, node  # type: ignore[return-value]
    origin, original = _exported(module)[name]
    return _definition(origin, original)


def page() -> str:
    """The whole page."""
    slugs, first, body, index = Slugs(), {}, [], []
    for module, path in MODULES.items():
        own = [entry for entry in entries() if entry.module == module]
        body += ["", f"## {module}", "", markdown(ast.get_docstring(_tree(path)[1]) or ""), ""]
        links = [f"**[{module}](#{slugs.of(module)})**"]
        for entry in own:
            known = first.get((entry.origin, entry.name))
            if known is not None:
                links.append(f"[{entry.name}](#{known[1]})")
                body += [f"`{entry.full}` is [{known[0]}](#{known[1]}).", ""]
                continue
            slug = slugs.of(entry.full)
            first[entry.origin, entry.name] = entry.full, slug
            links.append(f"[{entry.name}](#{slug})")
            body += [f"### {entry.full}", "", *_described(entry), ""]
        index.append("- " + links[0] + ": " + ", ".join(links[1:]))
    return "\n".join([*_head(), *index, *body]).rstrip() + "\n"


def _head() -> list[str]:
    return [
        "<!-- Made by notebooks/api.py from the docstrings. -->",
        "",
        "# Every public name",
        "",
        "Shapes: n states, m controls, a horizon of T stages, T1 = T + 1 states, k directions at a",
        "state (n without a `state_space`), B elements of a batch, S samples of a loop. Units are",
        "the problem's own where none are said. The examples run as doctests, after this:",
        "",
        "```python",
        SHARED.rstrip(),
        "```",
        "",
    ]


def _described(entry: Entry) -> list[str]:
    """Signature, docstring, and the public methods of a class."""
    text, tree = _tree(entry.origin)
    node = entry.node
    if isinstance(node, ast.Assign | ast.AnnAssign):
        lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
        return ["```python", *lines, "```"]
    if isinstance(node, ast.FunctionDef):
        return [_fenced(signature_of_function(text, node)), "", markdown(entry.docstring)]
    parts = [_fenced(signature_of_class(text, tree, node)), "", markdown(entry.docstring)]
    for method in node.body:
        if not isinstance(method, ast.FunctionDef) or method.name.startswith(("_", "tree_")):
            continue
        signature = signature_of_function(text, method, owner=node.name)
        parts += ["", _fenced(signature), "", markdown(ast.get_docstring(method) or "")]
    return parts


def _fenced(code: str) -> str:
    return f"```python\n{code}\n```"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"wrote {PAGE}")
