"""`python -m agent` is `adaptd`."""

from agent.cli import main

main()
