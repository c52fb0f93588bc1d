"""`python -m industry_brain` is the command line `brain`."""

from industry_brain.cli import main

if __name__ == "__main__":
    main()
