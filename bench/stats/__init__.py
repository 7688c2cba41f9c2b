"""Statistics: intervals of differences over seeds and documents, paired tests, many comparisons at once."""
