"""Preflight: how the processes are set up, and what has to be around them."""

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from agent_orchestration.cli.doctor.check import Check

if TYPE_CHECKING:
    from agent_orchestration.config import Config

_ENCRYPTED_GRAPH = ("neo4j+s", "neo4j+ssc", "bolt+s", "bolt+ssc")
_ENCRYPTED_LOG = ("SSL", "SASL_SSL")


def environment(config: "Config") -> Check:
    """Whether this is meant to be a production: topics get three copies then, for example."""
    name, detail = "environment", f"environment: {config.environment}"
    if config.environment == "production":
        return Check(name, "ok", detail)
    return Check(name, "warn", detail, "set environment: production (ENVIRONMENT)")


def log_aggregation(config: "Config") -> Check:
    """Each process writes lines; who keeps them is a matter of who starts it."""
    detail = f"each process writes JSON lines to standard error, from {config.logging.level} on"
    remedy = "see that whoever starts the processes collects what they write there"
    return Check("log aggregation", "unchecked", detail, remedy)


def alerts() -> Check:
    """Alerts are a matter of Prometheus."""
    detail = "whether alerts are watched for is not seen from here"
    remedy = "see that Prometheus has rules, and that what they find reaches somebody"
    return Check("alerts", "unchecked", detail, remedy)


def tls(config: "Config") -> Check:
    """Whether what leaves this machine is encrypted, as far as it is not the server's own."""
    name = "tls"
    open_, encrypted = _connections(config)
    if open_:
        detail = f"in the clear, to other machines: {', '.join(open_)}"
        remedy = "set kafka.security_protocol, database.uri (neo4j+s://) or https:// addresses"
        return Check(name, "warn", detail, remedy)
    detail = (
        f"encrypted or on this machine: {', '.join(encrypted) or 'everything is in one process'}"
    )
    remedy = "servers speak plain HTTP: see that a proxy before them ends TLS"
    return Check(name, "unchecked", detail, remedy)


def _connections(config: "Config") -> tuple[list[str], list[str]]:
    """What is asked over the network: in the clear, and encrypted or on this machine."""
    asked: list[tuple[str, str, bool]] = []
    if config.backend == "kafka-neo4j":
        graph = urlsplit(config.database.uri)
        asked.append(("Neo4j", graph.hostname or "", graph.scheme in _ENCRYPTED_GRAPH))
        encrypted = config.kafka.security_protocol in _ENCRYPTED_LOG
        brokers = config.kafka.bootstrap_servers.split(",")
        asked += [("Kafka", one.strip().rpartition(":")[0], encrypted) for one in brokers]
    addresses = {
        "the model": config.openai.base_url,
        "the keys of tokens": config.auth.jwks_uri,
        "the server": config.server.url,
    }
    for name, address in addresses.items():
        if address is not None:
            parts = urlsplit(address)
            asked.append((name, parts.hostname or "", parts.scheme == "https"))
    bad = [f"{name} at {host}" for name, host, well in asked if not (well or _is_here(host))]
    good = [f"{name} at {host}" for name, host, well in asked if well or _is_here(host)]
    return bad, good


def _is_here(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def autoscaling() -> Check:
    """A matter of whoever starts the processes."""
    detail = "whether processes are added under load is not seen from here"
    remedy = "look at kubectl get hpa,scaledobject, or watch the lag and add processors"
    return Check("autoscaling", "unchecked", detail, remedy)
