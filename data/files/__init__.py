"""Files on disk as frames, tables and pins, checked before they are read, written whole or not at all."""
