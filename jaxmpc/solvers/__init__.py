"""Solvers: small static configurations with four pure functions each, and the loop that runs them.

A solver has a folder of its own. What several share is in `multiple_shooting`; the protocol, the
options and the tables that they print are here. Nothing here knows of derivatives of solutions.
"""
