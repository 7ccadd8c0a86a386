"""Solvers that sample, beside derivatives and other libraries."""
