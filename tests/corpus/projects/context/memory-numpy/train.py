class _ArrayMemoryError(MemoryError):
    pass


_ArrayMemoryError.__module__ = "numpy._core._exceptions"
raise _ArrayMemoryError("Unable to allocate 745. GiB for an array with shape (100000000000,) and data type float64")
