"""Settings: the environment wins, everything wrong is named at once, secrets stay hidden."""

from pathlib import Path
from typing import Any

import pytest

from agent_orchestration.config import Config, ConfigError, load_config
from agent_orchestration.config_types import secrets_of


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(text, "utf-8")
    return file


def get(config: Config, dotted: str) -> Any:
    value: Any = config
    for part in dotted.split("."):
        value = getattr(value, part)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_without_file_and_environment_everything_has_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(environ={})
    assert config == Config()
    assert (config.backend, config.environment) == ("embedded", "development")
    assert config.data == Path.home() / ".agent-orchestration"
    assert (config.server.host, config.server.port, config.server.timeout) == (
        "127.0.0.1",
        8000,
        60,
    )
    assert (config.kafka.num_partitions, config.kafka.replication_factor) == (4, None)
    assert (config.openai.default_model, config.openai.request_timeout) == ("gpt-4-turbo", 30)
    assert (config.database.pool_size, config.database.connection_timeout) == (10, 5000)


@pytest.mark.parametrize(
    ("variable", "value", "setting", "file", "expected"),
    [
        ("OPENAI_API_KEY", "sk-env", "openai.api_key", "openai: {api_key: sk-file}", "sk-env"),
        (
            "OPENAI_BASE_URL",
            "http://e",
            "openai.base_url",
            "openai: {base_url: 'http://f'}",
            "http://e",
        ),
        ("OPENAI_MODEL", "e", "openai.default_model", "openai: {default_model: f}", "e"),
        ("NEO4J_URI", "bolt://e:1", "database.uri", "database: {uri: 'bolt://f:1'}", "bolt://e:1"),
        ("NEO4J_USERNAME", "env", "database.username", "database: {username: file}", "env"),
        ("NEO4J_PASSWORD", "env", "database.password", "database: {password: file}", "env"),
        (
            "KAFKA_BOOTSTRAP_SERVERS",
            "a:1,b:2",
            "kafka.bootstrap_servers",
            "kafka: {bootstrap_servers: 'f:9'}",
            "a:1,b:2",
        ),
        ("MCP_SERVER_PORT", "9001", "server.port", "server: {port: 9002}", 9001),
        ("LOG_LEVEL", "debug", "logging.level", "logging: {level: ERROR}", "DEBUG"),
        ("ENVIRONMENT", "Production", "environment", "environment: staging", "production"),
        ("AGENT_ORCHESTRATION_DATA", "/env", "data", "data: /file", Path("/env").absolute()),
        ("AGENT_ORCHESTRATION_BACKEND", "embedded", "backend", "backend: EMBEDDED", "embedded"),
    ],
)
def test_the_environment_wins_over_the_file(
    *, tmp_path: Path, variable: str, value: str, setting: str, file: str, expected: object
) -> None:
    path = write(tmp_path, file)
    assert get(load_config(path, environ={variable: value}), setting) == expected
    assert get(load_config(path, environ={}), setting) != get(Config(), setting) or (
        setting == "backend"
    )


def test_the_command_line_wins_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, "server: {port: 1, host: file}")
    overrides = {"server.port": 3, "server.host": None}
    config = load_config(path, environ={"MCP_SERVER_PORT": "2"}, overrides=overrides)
    assert (config.server.port, config.server.host) == (3, "file")


def test_the_file_is_found_by_option_then_variable_then_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "openai: {default_model: here}")
    named, given = tmp_path / "named.yaml", tmp_path / "given.yaml"
    named.write_text("openai: {default_model: named}")
    given.write_text("openai: {default_model: given}")
    variable = {"AGENT_ORCHESTRATION_CONFIG": str(named)}
    assert load_config(environ={}).openai.default_model == "here"
    assert load_config(environ=variable).openai.default_model == "named"
    assert load_config(given, environ=variable).openai.default_model == "given"


def test_an_empty_file_an_empty_section_and_an_empty_variable_mean_the_defaults(
    tmp_path: Path,
) -> None:
    assert load_config(write(tmp_path, ""), environ={"MCP_SERVER_PORT": ""}) == Config()
    assert load_config(write(tmp_path, "server:\nkafka:\n"), environ={}) == Config()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("servr: {}", "servr in {file}: is unknown; did you mean server?"),
        ("server: {prot: 1}", "server.prot in {file}: is unknown; did you mean port?"),
        ("logging: {colour: 1}", "logging.colour in {file}: is unknown; known are level"),
        (
            "kafka: {topics: [{name: a, partition: 3}]}",
            "kafka.topics.0.partition in {file}: is unknown; did you mean partitions?",
        ),
        (
            "server: {port: 99999}",
            "server.port in {file}: 99999 is too large; allowed: 0 to 65535",
        ),
        (
            "server: {port: yes}",
            "server.port in {file}: True is not a number; allowed: 0 to 65535",
        ),
        (
            "server: {port: 1.5}",
            "server.port in {file}: 1.5 is not a whole number; allowed: 0 to 65535",
        ),
        (
            "server: {timeout: 0}",
            "server.timeout in {file}: 0 is too small; allowed: more than 0 to 3600",
        ),
        (
            "backend: postgres",
            "backend in {file}: 'postgres' is not allowed; use 'embedded' or 'kafka-neo4j'",
        ),
        (
            "server: {token: guessed}",
            "server.token in {file}: must have at least 16 characters",
        ),
        (
            "database: {password: 5}",
            "database.password in {file}: is not text; put it in quotes",
        ),
        (
            "kafka: {bootstrap_servers: nowhere}",
            (
                "kafka.bootstrap_servers in {file}: 'nowhere' must be host:port, several of them"
                " separated by commas"
            ),
        ),
        (
            "kafka: {security_protocol: SASL_SSL, username: me}",
            (
                "kafka in {file}: security_protocol SASL_SSL needs username and password"
                " (KAFKA_USERNAME, KAFKA_PASSWORD)"
            ),
        ),
        (
            "auth: {audience: a}",
            "auth in {file}: needs a key: jwt_secret (JWT_SECRET_KEY), public_key or jwks_uri",
        ),
        ("auth: {jwt_secret: secret}", "auth.jwt_secret in {file}: must have at least 32 bytes"),
        (
            "auth: {public_key: secret}",
            "auth.public_key in {file}: is no public key in PEM (BEGIN PUBLIC KEY)",
        ),
        (
            "kafka: {prefix: a b}",
            (
                "kafka.prefix in {file}: 'a b' may have letters, digits, dots, hyphens and"
                " underscores, at most 100"
            ),
        ),
        ("openai: 5", "openai in {file}: 5 must be a mapping of settings"),
        ("- a list", "{file}: must be a mapping of settings, such as `backend: embedded`"),
        (
            "a: [",
            "{file}, line 1: is not YAML: expected the node content, but found '<stream end>'",
        ),
    ],
)
def test_a_wrong_file_is_explained_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={})
    assert caught.value.problems == [line.format(file=path)]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("MCP_SERVER_PORT", "abc", "'abc' is not a whole number; allowed: 0 to 65535"),
        (
            "LOG_LEVEL",
            "LOUD",
            "'LOUD' is not allowed; use 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL'",
        ),
        (
            "ENVIRONMENT",
            "prod",
            "'prod' is not allowed; use 'development', 'staging' or 'production'",
        ),
        (
            "OPENAI_BASE_URL",
            "http://me:secret@host",
            "must not hold a name or password: they have settings of their own",
        ),
        ("OPENAI_BASE_URL", "localhost:11434", "must begin with http:// or https://"),
        (
            "NEO4J_URI",
            "http://me:secret@host",
            (
                "must begin with one of neo4j://, neo4j+s://, neo4j+ssc://, bolt://, bolt+s://,"
                " bolt+ssc://"
            ),
        ),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(environ={variable: value})
    assert caught.value.problems == [f"{variable}: {line}"]


def test_all_problems_are_reported_together(tmp_path: Path) -> None:
    path = write(tmp_path, "servr: 1\nserver: {workers: none}\nbackend: kafka-neo4j")
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ={"LOG_LEVEL": "loud"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        f"server.workers in {path}",
        "LOG_LEVEL",
        f"servr in {path}",
        "NEO4J_PASSWORD",
    ]


def test_a_variable_is_required_only_by_the_backend_that_uses_it() -> None:
    load_config(environ={"AGENT_ORCHESTRATION_BACKEND": "embedded"})
    with pytest.raises(ConfigError) as caught:
        load_config(environ={"AGENT_ORCHESTRATION_BACKEND": "kafka-neo4j"})
    (problem,) = caught.value.problems
    assert problem == (
        "NEO4J_PASSWORD: is required by backend kafka-neo4j; set it, or database.password in"
        " config.yaml"
    )


def test_an_unreadable_file_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_config(tmp_path / "absent.yaml", environ={})
    (tmp_path / "latin.yaml").write_bytes(b"environment: \xff")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load_config(tmp_path / "latin.yaml", environ={})


def test_secrets_are_masked_wherever_settings_are_printed() -> None:
    config = load_config(environ={"OPENAI_API_KEY": "canary1", "NEO4J_PASSWORD": "canary2"})
    for shown in (repr(config), str(config), config.model_dump_json(), repr(config.database)):
        assert "canary" not in shown


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config().server.port = 1


@pytest.mark.parametrize(
    ("pattern", "problem"), [("(", "is no regular expression"), ("x*", "matches empty text")]
)
def test_patterns_to_redact_are_checked(tmp_path: Path, pattern: str, problem: str) -> None:
    file = write(tmp_path, f"recording: {{redact: ['{pattern}']}}")
    with pytest.raises(ConfigError) as raised:
        load_config(file, environ={})
    [line] = raised.value.problems
    assert line.startswith(f"recording.redact.0 in {file}: ")
    assert problem in line


def test_all_secrets_are_found() -> None:
    names = ("OPENAI_API_KEY", "NEO4J_PASSWORD", "KAFKA_PASSWORD", "AGENT_ORCHESTRATION_TOKEN")
    variables = {name: f"the secret of {name}" for name in names}
    assert sorted(secrets_of(load_config(environ=variables))) == sorted(variables.values())
