"""Files that hold arrays: TIFF, OME-Zarr, NumPy archives."""
