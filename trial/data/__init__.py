"""From a DataFrame of photos to batches: sampling, loading, the order of an epoch."""
