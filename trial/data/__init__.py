"""Tables of photos to batches: crops, preprocessing, sampling, loading."""
