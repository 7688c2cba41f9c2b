"""The seeded synthetic corpus: words, sentence frames, markup, and notes."""
