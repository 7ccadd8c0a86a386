"""`jaxmpc.diagnose`, and what it looks for: one file for each cause of a failed solve."""
