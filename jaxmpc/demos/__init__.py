"""What `python -m jaxmpc NAME` shows: a file for each demonstration, with a function `run`."""
