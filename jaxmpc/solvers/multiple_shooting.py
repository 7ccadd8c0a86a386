def feasible_start(*a): raise NotImplementedError
