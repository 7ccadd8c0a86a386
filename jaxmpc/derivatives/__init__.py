"""Derivatives of solutions: the rules, the KKT system that they solve, what it says of itself.

Solvers know nothing of what is here.
"""
