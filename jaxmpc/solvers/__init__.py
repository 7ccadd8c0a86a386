"""Solvers: small static configurations with four pure functions each."""
