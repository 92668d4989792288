"""The warm server: one process per experiment that has imported torch and timm and forks the trials."""
