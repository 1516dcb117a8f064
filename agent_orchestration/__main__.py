"""`python -m agent_orchestration`: the command line."""

import sys

from agent_orchestration.cli import main

if __name__ == "__main__":
    sys.exit(main())
