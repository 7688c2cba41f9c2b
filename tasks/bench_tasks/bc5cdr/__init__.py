"""BioCreative V CDR corpus: chemical and disease mentions in PubMed abstracts."""
