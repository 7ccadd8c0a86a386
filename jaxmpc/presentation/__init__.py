"""What people read: names and signatures, the sentences of statuses, tables in notebooks.

Nothing here knows of problems or solvers.
"""
