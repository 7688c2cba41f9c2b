"""The five controls that the runner enforces: tokens, parity, smoke, batch and checkpoint."""
