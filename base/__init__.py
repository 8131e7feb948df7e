"""What every stage shares: settings, storage, stable seeds, outcomes, errors and progress."""
