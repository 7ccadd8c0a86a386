"""The contenders, one a file; each imports its own library and runs in a process of its own."""
