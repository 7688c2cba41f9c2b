"""First-party plugins: architectures, quantizers, models and trackers."""
