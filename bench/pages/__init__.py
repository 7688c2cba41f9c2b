"""From runs to one page, with the same tables as LaTeX and CSV and the same figures as PDF and SVG."""
