"""What a sample holds, and how shards of samples are written, read and streamed."""
