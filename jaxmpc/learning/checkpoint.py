"""Training that was cut off goes on where it was, to the bit."""

import json
import os
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from jaxmpc.learning import history
from jaxmpc.learning.history import History


def save(path: Path, settings: dict[str, Any], epoch: int, state: PyTree, happened: History):
    """Everything after `epoch` epochs; the file is complete or what it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write((json.dumps({"epoch": epoch, **settings}) + "\n").encode())
        eqx.tree_serialise_leaves(file, (state, history.until(happened, epoch)))
    os.replace(partial, path)


def load(
    path: Path, settings: dict[str, Any], state: PyTree, epochs: int, names
) -> tuple[int, PyTree, History]:
    """The epoch, the state and the history so far; `state` is one of the same structure.

    Raises:
        ValueError: if the file is that of another training.
    """
    with path.open("rb") as file:
        header = json.loads(file.readline())
        epoch = header.pop("epoch", 0)
        different = {key for key in settings if header.get(key) != settings[key]}
        if different:
            told = ", ".join(
                f"{key} {header.get(key)!r} and not {settings[key]!r}" for key in sorted(different)
            )
            raise ValueError(
                f"learning.fit: checkpoint {path} is of another training: it has {told}. Give "
                "another path, or remove the file."
            )
        if epoch > epochs:
            raise ValueError(
                f"learning.fit: checkpoint {path} is of epoch {epoch}, after epochs = {epochs}."
            )
        happened = history.blank(epochs, names)
        like = (state, history.until(happened, epoch))
        state, past = eqx.tree_deserialise_leaves(file, like)
    for whole, part in zip(jax.tree.leaves(happened), jax.tree.leaves(past), strict=True):
        whole[:epoch] = part
    return epoch, state, happened
