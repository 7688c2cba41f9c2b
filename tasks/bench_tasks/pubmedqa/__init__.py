"""pubmedqa: research questions answered yes, no or maybe from an abstract."""
