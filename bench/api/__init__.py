"""What a plugin implements: tasks, heads, architectures, models, quantizers and trackers."""
