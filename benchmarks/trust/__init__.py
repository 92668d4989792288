"""Can the scores be trusted? Coverage of the intervals, and what the choice of the best recipe promises."""
