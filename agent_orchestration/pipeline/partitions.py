"""Which partition a tenant belongs to."""

from zlib import crc32


def partition_of(tenant: str, partitions: int) -> int:
    """crc32 of the tenant modulo the partition count, the same in every language."""
    return crc32(tenant.encode()) % partitions
