"""Reports: one HTML page from runs, with its tables as LaTeX and CSV and its figures as PDF and SVG."""
