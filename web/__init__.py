"""The page and its HTTP API: a photo in, views and a mesh out, in a browser or by any client."""
