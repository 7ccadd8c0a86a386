"""Docstrings and signatures as Markdown, for `api.py`."""

import ast
import re

_SECTIONS = ("Args", "Attributes", "Returns", "Raises", "Example", "Examples", "Source", "Sources")
_WIDTH = 88  # of a signature on one line


class Slugs:
    """The anchors that GitHub gives to headings."""

    def __init__(self):
        self._seen: dict[str, int] = {}

    def of(self, heading: str) -> str:
        """That of the next heading."""
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = self._seen.get(slug, 0)
        self._seen[slug] = count + 1
        return f"{slug}-{count}" if count else slug


def markdown(docstring: str) -> str:
    """A docstring: its sections as lists, what is indented as code."""
    found, section = [], ""
    for block in _blocks(docstring):
        heading = re.match(r"(\w+):$", block[0])
        if heading and heading[1] in _SECTIONS:
            section = heading[1]
            found += _section(section, _dedented(block[1:]))
        elif block[0].startswith("    "):
            more = section in ("Args", "Attributes", "Returns", "Raises")
            if section.startswith("Example"):
                found += ["", "```python", *_dedented(block), "```"]
            else:
                found += ["", *(_items(_dedented(block)) if more else _code(_dedented(block)))]
        else:
            section = ""
            found += ["", *(_escaped(line) for line in block)]
    return "\n".join(found).strip()


def _blocks(docstring: str) -> list[list[str]]:
    """What blank lines and changes between prose and code set apart."""
    blocks: list[list[str]] = []
    fresh = True
    for line in docstring.splitlines():
        if not line.strip():
            fresh = True
            continue
        if fresh:
            blocks.append([])
        blocks[-1].append(line)
        fresh = False
    return blocks


def _section(name: str, lines: list[str]) -> list[str]:
    if name.startswith("Example"):
        return ["", "```python", *lines, "```"]
    if name in ("Args", "Attributes", "Raises"):
        return ["", f"**{name}**", "", *_items(lines)]
    return ["", f"**{name}**", "", *(_escaped(line) for line in lines)]


def _items(lines: list[str]) -> list[str]:
    """`name, name: text` with its continuation lines as an item of a list each."""
    found = []
    text = re.sub(r"\. ((?:\w+Error, )*\w+Error: )", r".\n\1", "\n".join(lines))  # errors in a row
    for line in text.splitlines():
        named = re.match(r"([*\w][\w*, ]*): (.*)", line)
        if named:
            names = ", ".join(f"`{name.strip()}`" for name in named[1].split(","))
            found.append(f"- {names}: {_escaped(named[2])}")
        else:
            found.append(("  " if found else "") + _escaped(line.strip()))
    return found


def _code(lines: list[str]) -> list[str]:
    """An equation, or Python where it is that."""
    text = "\n".join(lines)
    try:
        ast.parse(text)
        language = "python" if re.search(r"jax|env\b|plan\b", text) else ""
    except SyntaxError:
        language = ""
    return [f"```{language}", *lines, "```"]


def _dedented(lines: list[str]) -> list[str]:
    depth = min((len(line) - len(line.lstrip()) for line in lines), default=0)
    return [line[depth:] for line in lines]


def _escaped(line: str) -> str:
    """Prose in which stars and angle brackets are what they look like; code stays as it is."""
    parts = re.split(r"(`[^`]*`)", line)
    for i in range(0, len(parts), 2):
        parts[i] = parts[i].replace("*", r"\*").replace("<", "&lt;")
    text = "".join(parts)
    return re.sub(r"^(\d+)\. ", r"\1\\. ", re.sub(r"^([+#])", r"\\\1", text))


def signature_of_function(text: str, node: ast.FunctionDef, owner: str = "") -> str:
    """`name(arguments) -> result` as the source has them; a property without parentheses."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    returns = "" if node.returns is None else f" -> {_source(text, node.returns)}"
    name = f"{owner}.{node.name}" if owner else node.name
    if any(decorator.endswith("property") for decorator in decorators):
        return f"{name}{returns}"
    arguments = _arguments(text, node.args)
    if owner and "staticmethod" not in decorators:
        arguments = arguments[1:]  # self
    return _call(name, arguments, returns)


def signature_of_class(text: str, tree: ast.Module, node: ast.ClassDef) -> str:
    """The arguments of `__init__`, or the fields; of an enum the members."""
    bases = [ast.unparse(base) for base in node.bases]
    if any(base.endswith("Enum") for base in bases):
        members = [_source(text, part) for part in node.body if isinstance(part, ast.Assign)]
        return "\n".join(
            [f"class {node.name}({', '.join(bases)}):", *(f"    {m}" for m in members)]
        )
    if "Protocol" in bases:
        return f"class {node.name}(Protocol)"
    for part in node.body:
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            return _call(node.name, _arguments(text, part.args)[1:], "")
    return _call(node.name, list(_fields(text, tree, node).values()), "")


def _fields(text: str, tree: ast.Module, node: ast.ClassDef) -> dict[str, str]:
    """The fields of a dataclass or tuple, those of a base in the same file first."""
    classes = {part.name: part for part in tree.body if isinstance(part, ast.ClassDef)}
    found: dict[str, str] = {}
    for base in node.bases:
        if ast.unparse(base) in classes:
            found |= _fields(text, tree, classes[ast.unparse(base)])
    for part in node.body:
        if not (isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)):
            continue
        name, kind = part.target.id, _source(text, part.annotation)
        if name == "_":
            found["_"] = "*"
        elif name[0] != "_":
            default, given = _default(text, part.value)
            if given:
                found[name] = f"{name}: {kind}{default}"
    return found


def _default(text: str, value: ast.expr | None) -> tuple[str, bool]:
    """` = default` of a field, and whether the field is an argument at all."""
    if value is None:
        return "", True
    if not (isinstance(value, ast.Call) and ast.unparse(value.func).endswith(("field", "number"))):
        return f" = {_source(text, value)}", True
    known = {word.arg: word.value for word in value.keywords}
    if "init" in known and ast.unparse(known["init"]) == "False":
        return "", False
    if "default_factory" in known:
        return f" = {_source(text, known['default_factory'])}()", True
    return (f" = {_source(text, known['default'])}" if "default" in known else ""), True


def _arguments(text: str, given: ast.arguments) -> list[str]:
    """Each argument as it is written, with its annotation and default."""

    def one(argument: ast.arg, default: ast.expr | None, stars: str = "") -> str:
        kind = "" if argument.annotation is None else f": {_source(text, argument.annotation)}"
        equals = " = " if kind else "="
        return f"{stars}{argument.arg}{kind}" + (
            "" if default is None else f"{equals}{_source(text, default)}"
        )

    ordinary = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(ordinary) - len(given.defaults)) + list(given.defaults)
    found = [one(*pair) for pair in zip(ordinary, defaults, strict=True)]
    if given.vararg:
        found.append(one(given.vararg, None, "*"))
    elif given.kwonlyargs:
        found.append("*")
    found += [one(*pair) for pair in zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    return found + ([one(given.kwarg, None, "**")] if given.kwarg else [])


def _call(name: str, arguments: list[str], returns: str) -> str:
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _source(text: str, node: ast.AST) -> str:
    """The text of a node, on one line."""
    return re.sub(r"\s+", " ", ast.get_source_segment(text, node) or "")
