"""ChemProt: relations between chemicals and genes in abstracts, the mentions given."""
