"""`adaptd learners`: every learner with its family and source."""

import typer

from agent.cli.app import app

LEARNERS_EXAMPLE = """\b
Example:
  adaptd learners
"""


@app.command(epilog=LEARNERS_EXAMPLE)
def learners() -> None:
    """List the learners, and how to seat any River model beside them."""
    from agent.continual import default  # noqa: PLC0415 (see the head of the package)
    from agent.learners.registry import LEARNERS  # noqa: PLC0415 (as above)

    del default  # it was imported so that its learners are registered
    for name in sorted(LEARNERS):
        typer.echo(name)
    typer.echo('any River model: [agent] experts = ["forest.ARFClassifier"] in the settings')
