"""What TrackMate reads and writes: XML, and tables of spots and links."""
