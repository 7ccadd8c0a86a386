"""States on manifolds: beside IPOPT, and beside the same problems in ambient numbers."""
