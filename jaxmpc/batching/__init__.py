"""Many elements side by side, in lanes that are refilled or in chunks.

Nothing here knows of problems or solvers.
"""
