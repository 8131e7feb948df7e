"""Where objects come from: a folder of models, or Objaverse."""
