"""biosses: how similar two biomedical sentences are."""
