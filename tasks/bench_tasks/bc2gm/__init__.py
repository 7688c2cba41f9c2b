"""BioCreative II gene mention corpus: gene mentions in sentences of PubMed abstracts."""
