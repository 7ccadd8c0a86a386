"""Robots of MuJoCo's, from their MJCF files to plans and loops, with pictures."""
