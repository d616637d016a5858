from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path

import pytest

from agent.build import build
from agent.faults import Fault, SettingsError
from agent.settings import Settings, flat, load
from agent.toml import Text

GOOD = """
[stream]
target = "class"
id = "id"
[stream.fields]
amount = "numeric"
shop = "categorical"

[source]
kind = "kafka"
[source.kafka]
bootstrap = "broker:9092"
consumer = { fetch_max_wait_ms = 20, metadata_max_age_ms = 1000.5 }

[sink]
kind = "kafka"
"""


def faults(tmp_path: Path, text: str, environment: Mapping[str, str] | None = None) -> list[Fault]:
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(path, environment or {})
    return list(error.value.faults)


@pytest.mark.parametrize(
    ("text", "path", "remedy"),
    [
        # unknown keys and tables, with what was meant
        ("[web]\nprot = 1", "web.prot", "did you mean port?"),
        ("[wbe]\nport = 1", "wbe", "did you mean web?"),
        ("qqqq = 1", "qqqq", "known here: stream, source"),
        ("[source.world]\nspeeed = 1.0", "source.world.speeed", "did you mean speed?"),
        # wrong types
        ('[web]\nport = "8642"', "web.port", "must be a whole number"),
        ("[web]\nport = 80.5", "web.port", "must be a whole number"),
        ("[web]\nport = true", "web.port", "must be a whole number"),
        ("[web]\nhost = 3", "web.host", "must be a text"),
        ("web = 3", "web", "must be a table, as [web]"),
        ('[encoder]\nclip = "wide"', "encoder.clip", "must be a number"),
        ("[encoder]\nclip = nan", "encoder.clip", "must be a number"),
        ("[service]\npoll_wait = inf", "service.poll_wait", "must be a number"),
        ('[sink.file]\nrefused = ["a"]', "sink.file.refused", "must be a path"),
        # out of range
        ("[web]\nport = 70000", "web.port", "give 0 (any free port) to 65535"),
        ("[service]\nmax_batch = 0", "service.max_batch", "give 1 to 1000000"),
        ("[service]\npoll_wait = -1", "service.poll_wait", "give 0 to 60 seconds"),
        ("[encoder]\ntokens_width = 0", "encoder.tokens_width", "take 1 or more"),
        ("[source.world]\nunlabelled = 1.5", "source.world.unlabelled", "0..1"),
        # choices
        ('[source]\nkind = "kafak"', "source.kind", "did you mean kafka?"),
        ('[service]\nlog_level = "loud"', "service.log_level", '"debug", "info", "warning"'),
        ('[stream.fields]\na = "numerc"', "stream.fields.a", "did you mean numeric?"),
        # missing
        ('[source]\nkind = "file"', "source.kind", "no table [source.file]"),
        ('[source]\nkind = "file"\n[source.file]', "source.file.path", "give path, a text"),
        ('[source]\nkind = "file"\nfile = { path = "x" }', "stream", "needs [stream.fields]"),
        ('[stream]\ntarget = "y"', "stream.fields", "give fields, a table"),
        ("[stream.fields]", "stream.fields", "give a feature"),
        ('[sink]\nkind = "kafka"', "sink.kafka", "no [source.kafka] to share"),
        # what contradicts itself
        (
            '[stream]\ntarget = "y"\n[stream.fields]\ny = "numeric"',
            "stream.target",
            "take it out of fields",
        ),
        ("[source.kafka]\nsasl_mechanism = 'PLAIN'", "source.kafka.sasl_mechanism", "SASL_SSL"),
        ("[source.kafka]\nevents = 'a'\nlabels = 'a'", "source.kafka.events", "name of its own"),
        ("[source.kafka.consumer]\ngroup_id = 'x'", "source.kafka.consumer.group_id", "remove it"),
        ('[agent]\nexperts = ["forest.ARFClasifier"]', "agent.experts", "mean ARFClassifier?"),
        ('[agent]\nexperts = ["linear_model.LinearRegression"]', "agent.experts", "classes"),
        # lists
        ("[source.world]\nschedule = 3", "source.world.schedule", "must be a list"),
        (
            '[[source.world.schedule]]\ntask = "card_testing"\nfirst = 0\nlasting = 9\nevery = 3',
            "source.world.schedule[0].lasting",
            "1..every",
        ),
    ],
)
def test_a_bad_setting_is_told_with_its_place_and_the_remedy(
    tmp_path: Path, text: str, path: str, remedy: str
) -> None:
    found = faults(tmp_path, text)
    assert [fault.path for fault in found] == [path]
    assert remedy in found[0].line()


@pytest.mark.parametrize(
    ("text", "place", "remedy"),
    [
        ("[web]\nport = \n", ":2:8", "Invalid value"),
        ("[web\n", ":1:5", "Expected ']'"),
        ("[web]\nport = 1\nport = 2\n", ":3:9", "Cannot overwrite"),
        ('host = "open', ": end of file", "Unterminated string"),
    ],
)
def test_broken_toml_is_told_with_line_and_column(
    tmp_path: Path, text: str, place: str, remedy: str
) -> None:
    found = faults(tmp_path, text)
    assert [fault.path for fault in found] == [f"{tmp_path / 'settings.toml'}{place}"]
    assert remedy in found[0].remedy


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, remedy in ((tmp_path / "none.toml", "no such file"), (tmp_path, "a directory")):
        with pytest.raises(SettingsError, match=remedy) as error:
            load(path, {})
        assert error.value.faults[0].path == str(path)
    latin = tmp_path / "latin.toml"
    latin.write_bytes('host = "Zürich"'.encode("latin-1"))
    with pytest.raises(SettingsError, match="save the file as UTF-8") as error:
        load(latin, {})
    assert error.value.faults[0].path == f"{latin}: byte 9"


@pytest.mark.parametrize(
    ("name", "value", "path", "remedy"),
    [
        ("ADAPTD__WEB__PORT", "many", "web.port", "must be a whole number"),
        ("ADAPTD__WEB__PROT", "1", "web.prot", "did you mean port?"),
        ("ADAPTD__WEB__PORT", "-1", "web.port", "65535"),
        ("ADAPTD__WEB", "1", "web", "must be a table"),
        ("ADAPTD__", "1", "ADAPTD__", "ADAPTD__SECTION__KEY"),
        ("ADAPTD__SINK__KIND", "files", "sink.kind", "did you mean file?"),
        ("ADAPTD__SERVICE__MAX_BATCH", "", "service.max_batch", "must be a whole number"),
    ],
)
def test_a_bad_variable_is_told_with_its_place(
    tmp_path: Path, name: str, value: str, path: str, remedy: str
) -> None:
    found = faults(tmp_path, "", {name: value, "PATH": "/bin"})
    assert len(found) == 1
    assert found[0].path.split(" ")[0] == path
    assert remedy in found[0].line()


def test_a_wrong_value_from_the_environment_names_its_variable(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "", {"ADAPTD__WEB__PORT": "many"})
    assert found.path == "web.port (from ADAPTD__WEB__PORT)"
    assert found.said == '"many"'


def test_all_faults_come_at_once(tmp_path: Path) -> None:
    text = (
        '[web]\nport = "x"\nhots = "a"\ntimeout = -1.0\n[sink]\nkind = 1\n[source.kafka]\nstart = 3'
    )
    found = faults(tmp_path, text, {"ADAPTD__SERVICE__THREADS": "-3", "ADAPTD__": "1"})
    assert {fault.path.split(" ")[0] for fault in found} == {
        *("web.port", "web.hots", "web.timeout", "sink.kind", "source.kafka.start"),
        *("service.threads", "ADAPTD__"),
    }


def test_good_settings_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD)
    settings = load(path, {})
    assert settings.source.kafka is not None
    assert settings.source.kafka.bootstrap == "broker:9092"
    assert settings.source.kafka.consumer == {
        "fetch_max_wait_ms": 20,
        "metadata_max_age_ms": 1000.5,
    }
    assert list(settings.schema.fields.items()) == [("amount", "numeric"), ("shop", "categorical")]
    with pytest.raises(FrozenInstanceError):
        settings.web.port = 1  # type: ignore[misc]  # that is the point


def test_without_a_file_the_card_world_is_the_stream() -> None:
    settings = load(None, {})
    assert settings == Settings()
    assert settings.source.kind == "world"
    assert "amount" in settings.schema.fields


def test_the_environment_goes_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("[web]\nport = 1\ntimeout = 3\n[service]\nthreads = 2")
    environment = {"ADAPTD__WEB__PORT": "2", "ADAPTD__SERVICE__POLL_WAIT": "0.5"}
    settings = load(path, environment, {"web.port": Text("3", "--port")})
    assert (settings.web.port, settings.web.timeout) == (3, 3.0)
    assert (settings.service.poll_wait, settings.service.threads) == (0.5, 2)


def test_a_variable_can_set_what_is_nested_or_optional(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(GOOD.replace("amount", "Amount"))
    settings = load(
        path,
        {
            "ADAPTD__STREAM__FIELDS__AMOUNT": "categorical",
            "ADAPTD__STREAM__ID": "",
            "ADAPTD__SOURCE__KAFKA__CONSUMER__CHECK_CRCS": "false",
            "ADAPTD__SOURCE__WORLD__DAYS": "5",
            "ADAPTD__SOURCE__WORLD__SCHEDULE": "[]",
        },
    )
    assert settings.schema.fields["Amount"] == "categorical"
    assert settings.schema.id is None
    assert settings.source.kafka is not None
    assert settings.source.kafka.consumer["check_crcs"] is False
    assert settings.source.world.days == 5
    assert settings.source.world.schedule == ()


def test_what_may_be_a_secret_is_not_in_the_flat_settings() -> None:
    @dataclass(frozen=True)
    class Table:
        options: dict[str, str] = field(default_factory=dict)
        sasl_plain_password_env: str = "KAFKA_PASSWORD"  # noqa: S105 (a variable's name)

    table = Table({"sasl_plain_password": "hunter2", "client": "x", "oauth_Token": "t"})
    assert flat(table) == {"options.client": "x", "sasl_plain_password_env": "KAFKA_PASSWORD"}
    assert "stream.fields.token" in flat(
        build(Settings, {"stream": {"fields": {"token": "tokens"}}})
    )


def test_flat_settings_are_plain_values_by_path() -> None:
    found = flat(Settings())
    assert found["web.port"] == 8642
    assert found["sink.file.refused"] == "refused.jsonl"
    assert all(type(value) in {str, int, float, bool, type(None)} for value in found.values())


def test_a_type_that_no_setting_may_have_is_the_programmers_error() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: complex = 1j

    with pytest.raises(TypeError, match="value: settings of type"):
        build(Odd, {"value": 3})
