"""The seeded synthetic corpus: words, sentence frames, markup, and the notes that are made of them."""
