"""`python -m app` is the `zero123` command."""

from app.entry import main

if __name__ == "__main__":
    raise SystemExit(main())
