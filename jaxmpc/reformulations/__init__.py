"""Problems made from problems: more states or other controls, with the same optimum.

Each is a public module. None solves anything.
"""
