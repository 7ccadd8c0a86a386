"""A film inside of a notebook."""

import base64
import io
from typing import TYPE_CHECKING, Any

from jaxmpc.plot.axes import require_matplotlib

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

_COLORS = 48  # of the film: lines and areas have few


class Film:
    """A film as a notebook shows it: the last expression of a cell, or `IPython.display`.

    Attributes:
        gif: the bytes of a GIF that repeats itself.
        width: [pixels], of the frames.

    Example:
        >>> from jaxmpc import models, plot
        >>> states = jnp.stack([models.pendulum_state(angle) for angle in (0.0, 0.1, 0.2)])
        >>> film = plot.html(plot.animate(models.pendulum, states, 0.05))
        >>> type(film).__name__, film.gif[:3]
        ('Film', b'GIF')
    """

    def __init__(self, gif: bytes, width: int):
        self.gif, self.width = gif, width

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.gif).decode("ascii")
        return f'<img width="{self.width}" alt="film" src="data:image/gif;base64,{data}"/>'

    def __repr__(self) -> str:
        return f"Film of {len(self.gif) / 1024:.0f} KB"


def html(animation: "FuncAnimation", *, dpi: float = 75.0) -> Film:
    """A film for a notebook, small enough to be kept in it.

    Its figure is closed: a notebook would show it once more, standing still.

    Args:
        animation: of `animate`, or any other of matplotlib.
        dpi: pixels for an inch of the figure; the fewer, the smaller.

    Returns:
        A `Film`, which a notebook shows.

    Example:
        >>> from jaxmpc import models, plot
        >>> states = jnp.stack([models.pendulum_state(angle) for angle in (0.0, 0.1, 0.2)])
        >>> film = plot.html(plot.animate(models.pendulum, states, 0.05))
        >>> film._repr_html_()[:4]
        '<img'
    """
    pyplot = require_matplotlib()
    from matplotlib.animation import FuncAnimation

    if not isinstance(animation, FuncAnimation):
        raise TypeError(f"html: animation must be a FuncAnimation, got {type(animation).__name__}.")
    film: Any = animation  # matplotlib has no public name for what is asked of it here
    frames, milliseconds = _frames(film, dpi), film._interval
    pyplot.close(film._fig)
    return Film(_gif(frames, milliseconds), frames[0].width)


def _frames(film: Any, dpi: float) -> list:
    """The frames as images."""
    from matplotlib.animation import PillowWriter

    class Collector(PillowWriter):
        def finish(self):
            """Keep the frames, and write nothing."""

    collector: Any = Collector(fps=1000 / film._interval)
    film.save("film.gif", writer=collector, dpi=dpi)
    return collector._frames


def _gif(frames: list, milliseconds: float) -> bytes:
    """All in one palette, so that a frame is what changed since the one before."""
    from PIL import Image

    frames = [frame.convert("RGB") for frame in frames]
    width, height = frames[0].size
    some = frames[:: max(1, len(frames) // 4)]
    together = Image.new("RGB", (width, height * len(some)))
    for place, frame in enumerate(some):
        together.paste(frame, (0, place * height))
    # By what is seen and not by area: a thin red line is to stay red, and white white.
    method = Image.Quantize.MAXCOVERAGE
    palette = together.quantize(_COLORS, method, dither=Image.Dither.NONE)
    flat = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    more = {"save_all": True, "append_images": flat[1:], "duration": milliseconds, "loop": 0}
    flat[0].save(file, format="GIF", optimize=True, disposal=1, **more)
    return file.getvalue()
