"""The experiments of Amos, Jimenez, Sacks, Boots and Kolter (2018)."""
