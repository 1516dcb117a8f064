"""Logarithmic buckets of whole numbers: counts in them add up exactly, in any order."""

from collections.abc import Mapping

BITS = 4
"""Each power of two is divided into `2 ** BITS` buckets: what a bucket has differs by at most one
sixteenth."""
_SHARES = 1 << BITS


def bucket_of(value: int) -> int:
    """The bucket of a number from 0 on; up to 31 each number has its own."""
    if value < 2 * _SHARES:
        return value
    shift = value.bit_length() - BITS - 1
    return (shift << BITS) + (value >> shift)


def highest(bucket: int) -> int:
    """The highest number in a bucket."""
    if bucket < 2 * _SHARES:
        return bucket
    shift = (bucket >> BITS) - 1
    return (((bucket & (_SHARES - 1)) + _SHARES + 1) << shift) - 1


def percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """At most this are so many percent of the numbers that the buckets count: the highest number of
    the bucket where they are reached, so never less than the exact percentile, and at most one
    sixteenth more. None where nothing was counted."""
    wanted = -(-sum(counts.values()) * percent // 100)
    reached = 0
    for bucket in sorted(counts):
        reached += counts[bucket]
        if reached >= wanted:
            return highest(bucket)
    return None
