"""jnlpba: the bio-entity task of JNLPBA 2004."""
