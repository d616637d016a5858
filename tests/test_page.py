"""The page in a real browser: it shows the tally's figures, draws, and says when nobody answers."""

import time
from collections.abc import Callable
from pathlib import Path

import matplotlib.image
import pytest

from agent.service.figures import Figures
from agent.service.health import Health
from agent.service.metrics import Metrics
from agent.service.report import Step
from agent.service.status import About, Status
from agent.service.tally import Tally
from agent.service.web import Reply, Route, Web, WebSettings, routes
from streams.schema import Goal
from tests.browser import CHROMIUM, look
from tests.steps import synthetic_run

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt-get install chromium"),
]


def daemon_of(goal: Goal, steps: list[Step]) -> tuple[dict[str, Route], Health, Figures]:
    tally, health = Tally(goal), Health(time.monotonic)
    for step in steps:
        tally(step)
    health.mark("assigned")
    health.mark("restored")
    health.progress(time.monotonic())
    about = About("0.1.0", "<b>events</b> & more.csv", "answers.jsonl")
    metrics = Metrics(about, tally, health, lambda: steps[-1].wall)
    status = Status(about, tally, health, lambda: steps[-1].wall + 5)
    figures = tally.figures()
    assert figures is not None
    return routes(status, health, metrics.text), health, figures


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return list(synthetic_run(steps=400, batch=300))


def test_the_figures_shown_are_those_of_the_tally(steps: list[Step], tmp_path: Path) -> None:
    answers, _, figures = daemon_of("classes", steps)
    with Web(WebSettings(port=0), answers) as web:
        seen = look(web.url, tmp_path)
    assert seen.console == []
    assert int(seen.root("drawn") or 0) >= 1
    assert seen.root("gone") is None
    assert seen.value("events") == figures.events
    assert seen.value("labels") == figures.labels["joined"]
    assert seen.value("pending") == figures.step.pending
    assert seen.value("refused") == sum(figures.refused.values())
    assert seen.value("loss") == pytest.approx(figures.window.loss)
    assert seen.value("metric") == pytest.approx(figures.window.average_precision)
    assert seen.value("delay") == pytest.approx(figures.delay[0])
    assert seen.value("drifts") == figures.drifts > 0
    assert seen.text("events") == f"{figures.events:,}"
    assert seen.text("metric_name") == "Average precision"
    assert seen.text("phase") == "running"
    assert seen.text("ready") == "ready"
    assert seen.text("source") == "<b>events</b> & more.csv → answers.jsonl"


def test_every_chart_is_drawn_and_says_what_it_shows(steps: list[Step], tmp_path: Path) -> None:
    answers, _, figures = daemon_of("classes", steps)
    with Web(WebSettings(port=0), answers) as web:
        seen = look(web.url, tmp_path)
    assert seen.html.count("<canvas") == 6
    memory = figures.step.memory
    assert f'"Loss on old tasks: today {memory.loss:.3f}, when left ' in seen.html
    assert seen.text("plasticity").startswith("step 0.005 · dormant 0.1 · rank ")
    loss = f"{figures.window.loss:.4f}"
    assert f'aria-label="Prequential loss: last 1k {loss}' in seen.html
    assert f"{figures.drifts} drifts" in seen.html
    for voice, weight in figures.voices.items():
        assert f"{voice}</span> <b>{100 * weight:.0f} %</b>" in seen.html
    learn = figures.seconds["learn"] / sum(figures.seconds.values())
    assert f"learn {100 * learn:.0f} %" in seen.html


def test_a_link_opens_the_page_as_it_was_left(steps: list[Step], tmp_path: Path) -> None:
    answers, _, figures = daemon_of("classes", steps)
    with Web(WebSettings(port=0), answers) as web:
        seen = look(web.url + "#span=recent&axis=labels&metric=kappa", tmp_path)
    assert seen.console == []
    assert seen.text("metric_name") == "Kappa"
    assert seen.value("metric") == pytest.approx(figures.window.kappa)
    assert 'aria-label="Kappa: last 1k ' in seen.html
    assert seen.html.count('checked=""') == 2


def test_a_stream_of_numbers_shows_its_error(tmp_path: Path) -> None:
    answers, _, figures = daemon_of("number", list(synthetic_run("number", steps=100)))
    with Web(WebSettings(port=0), answers) as web:
        seen = look(web.url, tmp_path)
    assert seen.console == []
    assert seen.text("metric_name") == "MAE"
    assert seen.value("metric") == pytest.approx(figures.window.mae)


def test_before_the_first_event_the_page_waits_without_an_error(tmp_path: Path) -> None:
    tally, health = Tally("classes"), Health(time.monotonic)
    status = Status(About("0.1.0", "a topic"), tally, health, lambda: 0.0)
    with Web(WebSettings(port=0), routes(status, health, lambda: (b"", ""))) as web:
        seen = look(web.url, tmp_path)
    assert seen.console == []
    assert seen.text("phase") == "starting"
    assert seen.text("ready") == "not yet assigned"
    assert seen.text("events") == "\N{EN DASH}"


def after(calls: int, route: Route) -> Route:
    """Answer so many times, then be as good as gone."""
    left = [calls]

    def answer() -> Reply:
        left[0] -= 1
        return route() if left[0] >= 0 else Reply(b"", code=500)

    return answer


@pytest.mark.parametrize(
    ("leave", "said", "mark"),
    [(Health.drain, "ended", "ended"), (lambda _: None, "no answer", "lost")],
    ids=["after draining", "without a word"],
)
def test_the_page_says_so_when_the_daemon_goes_away(
    steps: list[Step], tmp_path: Path, leave: Callable[[Health], None], said: str, mark: str
) -> None:
    answers, health, figures = daemon_of("classes", steps)
    leave(health)
    answers["/status.json"] = after(2, answers["/status.json"])
    with Web(WebSettings(port=0), answers) as web:
        seen = look(web.url, tmp_path, seconds=8)
    assert seen.root("gone") == mark
    assert seen.text("phase") == said
    assert seen.text("ready").startswith("last heard at ")
    assert seen.value("events") == figures.events


@pytest.mark.parametrize("size", ["1280,800", "390,844"])
def test_its_picture_is_not_blank(steps: list[Step], tmp_path: Path, size: str) -> None:
    answers, _, _ = daemon_of("classes", steps)
    picture = tmp_path / "page.png"
    with Web(WebSettings(port=0), answers) as web:
        look(web.url, tmp_path / "home", f"--screenshot={picture}", size=size)
    pixels = matplotlib.image.imread(picture)
    width, height = map(int, size.split(","))
    assert pixels.shape[:2] == (height, width)
    third = height // 3
    for part in (pixels[:third], pixels[third : 2 * third], pixels[2 * third :]):
        assert part[..., :3].std() > 0.03


def test_an_error_on_a_page_would_be_seen(tmp_path: Path) -> None:
    page = Reply(b"<script src=page.js></script>", "text/html")
    script = Reply(b"console.error('no'); fetch('http://example.org/')", "text/javascript")
    with Web(WebSettings(port=0), {"/": lambda: page, "/page.js": lambda: script}) as web:
        seen = look(web.url, tmp_path)
    assert any("no" in line for line in seen.console)
    assert any("example.org" in line for line in seen.console), "the policy lets nothing out"
