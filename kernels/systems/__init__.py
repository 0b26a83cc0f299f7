"""Linear systems: Grams, factorisations, and solves with them."""
