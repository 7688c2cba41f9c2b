"""ddi-2013: interactions between drugs, DDIExtraction 2013."""
