"""Fine-tuning on a stream of view pairs."""
