"""How far a score can be trusted: intervals over groups, and what the choice of the best one flattered."""
