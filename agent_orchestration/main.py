"""`python -m agent_orchestration.main`: the server, with settings from file and environment."""

import sys

from agent_orchestration.cli import main

if __name__ == "__main__":
    sys.exit(main(["dev", *sys.argv[1:]]))
