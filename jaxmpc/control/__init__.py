"""What stands between a solution and a plant, or between plans one after the other."""
