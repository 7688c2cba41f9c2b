"""bench: fair fine-tuning comparisons for clinical and biomedical NLP."""

__version__ = "0.1.0"
