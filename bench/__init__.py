"""Benchmarks, one script a question; run as `python -m bench.NAME` from the repository root."""
