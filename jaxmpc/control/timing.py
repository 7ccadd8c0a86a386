"""What a control loop took, beside its deadline."""

import dataclasses

import numpy as np

from jaxmpc.checks import check_positive


@dataclasses.dataclass(frozen=True, eq=False)
class TimingReport:
    """The times of a control loop's steps; `print` it, or draw it with `jaxmpc.plot.plot_timing`.

    Args:
        seconds: [S], of each step [s].
        deadline: what each was allowed [s]; inf for none.

    Example:
        >>> report = jaxmpc.control.TimingReport([0.001, 0.002, 0.004], deadline=0.003)
        >>> report.median, report.worst, report.missed
        (0.002, 0.004, 1)
    """

    seconds: np.ndarray
    deadline: float = np.inf

    def __post_init__(self):
        try:
            seconds = np.asarray(self.seconds, float)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"TimingReport: seconds must be numbers, got {self.seconds!r}."
            ) from error
        if seconds.ndim != 1 or not seconds.size:
            raise ValueError(
                f"TimingReport: seconds must be one or more times; got shape {seconds.shape}."
            )
        if not np.all(seconds >= 0):
            raise ValueError(f"TimingReport: seconds must not be negative or NaN; got {seconds}.")
        object.__setattr__(self, "seconds", seconds)
        check_positive("TimingReport", "deadline", self.deadline)

    @property
    def median(self) -> float:
        """The median [s]."""
        return float(np.median(self.seconds))

    @property
    def p99(self) -> float:
        """What 99 of 100 steps took at most [s]."""
        return float(np.quantile(self.seconds, 0.99))

    @property
    def p999(self) -> float:
        """What 999 of 1000 steps took at most [s]."""
        return float(np.quantile(self.seconds, 0.999))

    @property
    def worst(self) -> float:
        """The longest [s]."""
        return float(np.max(self.seconds))

    @property
    def missed(self) -> int:
        """How many took longer than the deadline."""
        return int(np.sum(self.seconds > self.deadline))

    def __str__(self) -> str:
        named = {"median": self.median, "p99": self.p99, "p99.9": self.p999, "worst": self.worst}
        times = ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in named.items())
        count = len(self.seconds)
        if np.isinf(self.deadline):
            return f"{count} steps: {times}"
        return f"{count} steps: {times}; {self.missed} later than {1e3 * self.deadline:.3g} ms"
