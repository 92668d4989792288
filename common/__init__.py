"""What every room uses: errors, logs, files, processes, progress, this machine, and values as text."""
