"""What the solvers do to a recurrent network: its recurrence, its blocks and its weights."""
