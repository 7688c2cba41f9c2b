"""LoRA adapters: solving their ranks, attaching, routing and saving them."""
