"""The log on Apache Kafka, for installations that one machine does not hold."""

from agent_orchestration.backends.log.kafka.log import KafkaLog

__all__ = ["KafkaLog"]
