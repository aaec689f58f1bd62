"""What one file declares and holds: axes, planes, names; one module for each kind of file."""
