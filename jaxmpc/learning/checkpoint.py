"""Training that was cut off goes on where it was, to the bit."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree

from jaxmpc.learning import history
from jaxmpc.learning.history import History


class Checkpoint:
    """A file that keeps a training's state; without a path, none."""

    def __init__(self, path: str | Path | None, every: int, settings: dict[str, Any]):
        """`settings` tell one training from another."""
        self._path, self._every = None if path is None else Path(path), every
        self._settings = settings

    def save(self, epoch: int, last: bool, state: PyTree, happened: History):
        """Everything after `epoch` epochs, if it is time; the file is never half written."""
        if self._path is None or (epoch % self._every and not last):
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_name(self._path.name + ".partial")
        with partial.open("wb") as file:
            file.write((json.dumps({"epoch": epoch, **self._settings}) + "\n").encode())
            eqx.tree_serialise_leaves(file, (state, history.until(happened, epoch)))
        os.replace(partial, self._path)

    def load(self, state: PyTree, epochs: int, names: Iterable[str]) -> tuple[int, PyTree, History]:
        """The epochs that were done, the state and the history; `state` if there is no file.

        Raises:
            ValueError: if the file is that of another training.
        """
        happened = history.blank(epochs, names)
        if self._path is None or not self._path.exists():
            return 0, state, happened
        with self._path.open("rb") as file:
            epoch = self._checked(json.loads(file.readline()), epochs)
            like = (state, history.until(happened, epoch))
            state, past = eqx.tree_deserialise_leaves(file, like)
        for whole, part in zip(jax.tree.leaves(happened), jax.tree.leaves(past), strict=True):
            whole[:epoch] = part
        return epoch, state, happened

    def _checked(self, header: dict[str, Any], epochs: int) -> int:
        about = f"learning.fit: checkpoint {self._path}"
        different = [key for key, value in self._settings.items() if header.get(key) != value]
        if different:
            told = ", ".join(
                f"{key} {header.get(key)!r} and not {self._settings[key]!r}" for key in different
            )
            raise ValueError(
                f"{about} is of another training: it has {told}. Give another path, or remove the "
                "file."
            )
        if header["epoch"] > epochs:
            raise ValueError(f"{about} is of epoch {header['epoch']}, after epochs = {epochs}.")
        return header["epoch"]
