"""What `jaxmpc.diagnose` looks for: one file for each cause of a failed solve."""
