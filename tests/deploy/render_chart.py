"""Write what the chart makes of each file of values, and of everything that can be switched on,
into a folder: for the tools that read it. `python -m tests.deploy.render_chart FOLDER`
"""

import sys
from pathlib import Path

from tests.deploy.chart import BROUGHT_ALONG, CHART, DEFAULT, PROFILES, helm, template

EVERYTHING = {
    **BROUGHT_ALONG,
    "workers.enabled": "true",
    "analytics.enabled": "true",
    "workers.autoscaling.enabled": "true",
    "mcpServer.token.value": "only-for-tests-1",
    "global.openaiApiKey": "only-for-tests",
    "coreServices.autoscaling.enabled": "true",
    "ingress.sticky": "true",
    "monitoring.monitors": "true",
    "monitoring.tokenSecret": "server-token",
    "monitoring.rules": "true",
}


def main() -> None:
    """Ends with exit code 1, and with what Helm says, where it finds a fault."""
    folder = Path(sys.argv[1])
    cases = [(one.file, one, None) for one in PROFILES]
    for name, profile, more in (*cases, ("everything.yaml", DEFAULT, EVERYTHING)):
        linted = helm("lint", "--strict", CHART, f"--values={CHART / profile.file}")
        done = template(profile, more)
        if linted.returncode or done.returncode:
            sys.exit(f"{name}: {linted.stdout}{done.stderr}")
        (folder / name).write_text(done.stdout, "utf-8")


if __name__ == "__main__":
    main()
