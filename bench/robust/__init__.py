"""Random problems that jaxmpc's solvers and IPOPT both try."""
