"""One file a robot or vehicle: its parameters and its dynamics."""
