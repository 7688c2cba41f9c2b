"""BioCreative V CDR corpus: which chemicals induce which diseases, by document."""
