"""The catalogue: Delta tables of objects and attempts, the lease of a builder, and columns held in memory."""
