"""LQ problems with bounded controls: which bounds are active, and the policies that keep them."""
