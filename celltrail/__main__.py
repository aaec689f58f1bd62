"""``python -m celltrail``: the same as the command ``celltrail``."""

from celltrail.start import main

if __name__ == "__main__":
    main()
