"""What solvers with states and controls as unknowns share: their iterate, model, filter, search."""
