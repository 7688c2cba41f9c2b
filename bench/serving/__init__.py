"""`bench serve`: the model of a finished run behind a small HTTP server, with a page that shows what it finds in a text."""
