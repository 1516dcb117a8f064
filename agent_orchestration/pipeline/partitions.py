"""Which partition a key belongs to: a tenant, or an entity in a feed."""

from zlib import crc32


def partition_of(key: str, partitions: int) -> int:
    """crc32 of the key modulo the partition count, the same in every language."""
    return crc32(key.encode()) % partitions
