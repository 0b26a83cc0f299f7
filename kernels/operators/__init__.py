"""Penalties, sets, losses and activations, with their gradients and proxes."""
