"""The warm server: it has imported what trials need, and forks one for each trial that asks."""
