"""What runs before, beside and after the platform: hooks, timed jobs, tests, disruptions."""

import pytest

from tests.deploy.chart import (
    BROUGHT_ALONG,
    DEFAULT,
    PRODUCTION,
    PROFILES,
    SMALL,
    Object,
    Profile,
    rendered,
    variables,
)

HOOK, WEIGHT = "helm.sh/hook", "helm.sh/hook-weight"
every_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.file)


def annotations(one: Object) -> dict[str, str]:
    return one["metadata"].get("annotations", {})


def mentioned(pod: Object) -> set[tuple[str, str]]:
    """The kinds and names of all that a pod needs to be there."""
    spec = pod["spec"]
    found: set[tuple[str, str]] = {
        ("Secret", value[0])
        for one in spec["containers"]
        for value in variables(one).values()
        if isinstance(value, tuple)
    }
    for volume in spec.get("volumes", ()):
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"]))
        if "persistentVolumeClaim" in volume:
            found.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    if "serviceAccountName" in spec:
        found.add(("ServiceAccount", spec["serviceAccountName"]))
    return found


@pytest.mark.parametrize("profile", [DEFAULT, PRODUCTION], ids=lambda one: one.file)
@pytest.mark.parametrize(
    ("name", "args"),
    [("topics-create", ["topics", "create"]), ("schema-migrate", ["schema", "migrate"])],
)
def test_topics_and_schema_are_made_before_anything_starts(
    profile: Profile, name: str, args: list[str]
) -> None:
    chart = rendered(profile)
    job = chart.named("Job", name)
    assert annotations(job)[HOOK] == "pre-install,pre-upgrade"
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["args"] == args
    made = {(one["kind"], one["metadata"]["name"]): one for one in chart.objects}
    for needed in mentioned(job["spec"]["template"]):
        if needed in made:
            before = annotations(made[needed])
            assert before[HOOK] == annotations(job)[HOOK], needed
            assert int(before[WEIGHT]) < int(annotations(job)[WEIGHT]), needed


def test_jobs_wait_for_servers_that_come_with_the_first_installation() -> None:
    chart = rendered(SMALL)
    for name in ("topics-create", "schema-migrate"):
        job = chart.named("Job", name)
        assert HOOK not in annotations(job)
        needed = mentioned(job["spec"]["template"])
        assert {name for _, name in needed} == {"agent-orchestration-config", "neo4j-credentials"}
    assert "agent-orchestration-config-hook" not in chart.names("ConfigMap")


def test_they_run_before_an_upgrade_when_the_servers_are_there() -> None:
    chart = rendered(SMALL, None, "--is-upgrade")
    for job in chart.of("Job"):
        assert annotations(job)[HOOK] == "pre-install,pre-upgrade"
    assert "neo4j-credentials-hook" in chart.names("Secret")


@every_profile
def test_whatever_a_pod_needs_is_made_by_the_chart_or_named_in_the_values(
    profile: Profile,
) -> None:
    chart = rendered(profile)
    made = {(one["kind"], one["metadata"]["name"]) for one in chart.objects}
    for one in chart.of("StatefulSet"):
        claims = one["spec"]["volumeClaimTemplates"]
        made |= {("PersistentVolumeClaim", claim["metadata"]["name"]) for claim in claims}
    optional = {("Secret", "openai-credentials")}
    elsewhere = {("Secret", name) for name in ("neo4j-credentials", "kafka-credentials")}
    elsewhere |= {("Secret", "server-token")}
    for name, pod in chart.pods().items():
        missing = mentioned(pod) - made - optional
        assert missing <= (elsewhere if profile == PRODUCTION else set()), name


@pytest.mark.parametrize(
    ("name", "args", "schedule"),
    [
        ("backup", ["backup", "create"], "0 2 * * *"),
        ("verify", ["verify"], "0 3 * * *"),
        ("compare", ["rebuild", "--verify"], "0 4 * * 0"),
    ],
)
def test_backups_and_checks_run_by_the_clock_and_one_at_a_time(
    name: str, args: list[str], schedule: str
) -> None:
    spec = rendered(DEFAULT).named("CronJob", f"agent-orchestration-{name}")["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == (schedule, "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["args"] == args
    assert pod["restartPolicy"] == "Never"
    off = rendered(DEFAULT, {f"cronJobs.{name}.enabled": "false"})
    assert f"agent-orchestration-{name}" not in off.names("CronJob")


def test_backups_have_a_volume_that_the_settings_name() -> None:
    chart = rendered(DEFAULT)
    job = chart.named("CronJob", "agent-orchestration-backup")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]
    mounted = {
        one["mountPath"]: one["name"] for one in pod["spec"]["containers"][0]["volumeMounts"]
    }
    assert mounted["/data/backups"] == "backups"
    settings = chart.named("ConfigMap", "agent-orchestration-config")["data"]["config.yaml"]
    assert "url: /data/backups" in settings
    claims = rendered(DEFAULT, {"cronJobs.backup.enabled": "false"}).names("PersistentVolumeClaim")
    assert claims == {"agent-orchestration-blobs"}


@every_profile
def test_helm_test_asks_the_server_and_the_doctor(profile: Profile) -> None:
    pods = {one["metadata"]["name"]: one for one in rendered(profile).of("Pod")}
    assert set(pods) == {"agent-orchestration-test-ready", "agent-orchestration-test-doctor"}
    assert {annotations(one)[HOOK] for one in pods.values()} == {"test"}
    [ready] = pods["agent-orchestration-test-ready"]["spec"]["containers"]
    compile(ready["command"][-1], "the test's program", "exec")
    assert "http://mcp-server-service:80/ready" in ready["command"][-1]


@pytest.mark.parametrize("name", ["mcp-server", "core-services", "neo4j", "kafka"])
def test_a_drained_node_takes_one_pod_of_a_kind_at_a_time(name: str) -> None:
    chart = rendered(DEFAULT, BROUGHT_ALONG)
    budget = chart.named("PodDisruptionBudget", f"{name}-pdb")["spec"]
    assert budget["maxUnavailable"] == 1
    [workload] = [
        one for one in chart.of("Deployment", "StatefulSet") if one["metadata"]["name"] == name
    ]
    assert budget["selector"] == workload["spec"]["selector"]


def test_members_of_the_broker_and_of_the_graph_know_each_other() -> None:
    chart = rendered(DEFAULT, BROUGHT_ALONG)
    kafka = variables(
        chart.named("StatefulSet", "kafka")["spec"]["template"]["spec"]["containers"][0]
    )
    inside = "kafka-headless.agents.svc.cluster.local"
    voters = ",".join(f"{number}@kafka-{number}.{inside}:9093" for number in range(3))
    assert kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == voters
    assert kafka["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
    assert kafka["KAFKA_SOCKET_REQUEST_MAX_BYTES"] == "104857600"
    graph = variables(
        chart.named("StatefulSet", "neo4j")["spec"]["template"]["spec"]["containers"][0]
    )
    inside = "neo4j-headless.agents.svc.cluster.local"
    endpoints = ",".join(f"neo4j-{number}.{inside}:6000" for number in range(3))
    assert graph["NEO4J_dbms_cluster_discovery_v2_endpoints"] == endpoints
    assert graph["NEO4J_initial_dbms_default__secondaries__count"] == "0"


def test_members_of_the_graph_beyond_the_third_are_read_replicas() -> None:
    chart = rendered(DEFAULT, {**BROUGHT_ALONG, "neo4j.replicas": "5"})
    graph = variables(
        chart.named("StatefulSet", "neo4j")["spec"]["template"]["spec"]["containers"][0]
    )
    assert graph["NEO4J_initial_dbms_default__primaries__count"] == "3"
    assert graph["NEO4J_initial_dbms_default__secondaries__count"] == "2"


def test_changed_settings_start_new_pods() -> None:
    def checksum(more: dict[str, str]) -> str:
        pod = rendered(DEFAULT, more).pods()["Deployment/mcp-server"]
        return annotations(pod)["checksum/config"]

    assert checksum({}) == checksum({"ingress.className": "other"})
    assert checksum({}) != checksum({"config.logging.level": "DEBUG"})


@pytest.mark.parametrize("name", ["neo4j", "kafka"])
def test_a_new_version_of_the_platform_starts_no_server_anew(name: str) -> None:
    def pod(tag: str) -> Object:
        more = {**BROUGHT_ALONG, "image.tag": tag}
        return rendered(DEFAULT, more).pods()[f"StatefulSet/{name}"]

    assert pod("1.2.3") == pod("1.2.4")
    assert not [one for one in pod("1.2.3")["metadata"]["labels"] if "version" in one]
