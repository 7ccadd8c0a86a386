"""Closed loops: disturbed ones, and ones against a clock."""
