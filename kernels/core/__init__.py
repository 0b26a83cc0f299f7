"""What every kernel stands on: the decorator, checks of arguments, rows, tiles and BLAS."""
