"""Films of the models: one file a body, a table of them, and what turns them into a film."""
