"""Objects in, versioned shards out: choose, fetch, render, pack, record, on Ray."""
