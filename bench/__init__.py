"""The benchmarks: `python -m bench` from the repository root; `--help` says what is measured."""

import os

# Before numpy is imported: many small factorisations, and a machine that others use as well.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
