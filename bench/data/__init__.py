"""From documents to micro-batches: windows, the memory-mapped cache, batches and sampling."""
