"""NCBI disease corpus: disease mentions in PubMed abstracts."""
