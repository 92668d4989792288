"""The ground floor: errors, files, processes, progress, this machine, and how values are written."""
