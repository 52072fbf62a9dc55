"""`python -m segtalker` is the `segtalker` command."""

from segtalker.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
