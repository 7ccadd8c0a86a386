"""Run the study, print, and write the JSON and the picture."""

import jax

from bench import machine
from bench.wind import picture, study
from bench.wind.training import END_TO_END, PREDICTION, Training

_SEEDS = 5
_SIZE = study.Size(flights=32, sets=4, through_solver=2048, judging=256)


def main():
    """All seeds."""
    jax.config.update("jax_enable_x64", True)
    here, seeds = machine.describe(), []
    predict = Training(PREDICTION, 3e-3, epochs=20, batch_size=128)
    through_solver = Training(END_TO_END, 1e-3, epochs=5, batch_size=64)
    for seed in range(_SEEDS):
        seeds.append(study.run(seed, _SIZE, predict, through_solver))
        row = seeds[-1].row
        errors = {name: f"{1e3 * e:.1f}" for name, e in row["tracking_rms_m"].items()}
        print(f"seed {seed}, {row['seconds']:.0f} s: tracking error [mm] {errors}", flush=True)
    rows = [seed.row for seed in seeds]
    summary = study.summary(rows)
    for name, values in summary["percent_lower"].items():
        print(f"{name}: {values['mean']:.0f} +- {values['standard_deviation']:.0f} % lower")
    path = machine.save_own("wind", here, [{"summary": summary}, *rows])
    picture.draw(rows, seeds[-1], path.with_suffix(".png"))
    print("written:", path.name)


if __name__ == "__main__":
    main()
