"""``python -m celltrail``: the same as the command ``celltrail``."""

from celltrail.cli import main

if __name__ == "__main__":
    main()
