"""From predictions to scores: official metrics, intervals, efficiency."""
