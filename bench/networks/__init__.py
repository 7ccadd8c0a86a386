"""Neural networks as dynamics and as costs."""
