"""A dataset that exists: its history, card, status and exports, and the removal of files it no longer needs."""
