"""What the plan of a statement that only reads may consist of."""

import re
from collections.abc import Mapping
from typing import Any

#: Neo4j's operators that only read the graph, without what stands in parentheses behind them.
#: Left out are those that write, lock, call procedures, load files or show the server's state.
_READING = re.compile(
    # where rows begin: scans and seeks
    r"(?:Partitioned)?(?:AllNodesScan|NodeByLabelScan|Unwind"
    r"|(?:Intersection|Subtraction|Union)NodeByLabelsScan"
    r"|Node(?:Unique)?Index(?:Seek|SeekByRange|Scan|ContainsScan|EndsWithScan)"
    r"|(?:Und|D)irected(?:AllRelationshipsScan|UnionRelationshipTypesScan"
    r"|Relationship(?:Types?Scan|(?:Unique)?Index(?:Seek|SeekByRange|Scan|ContainsScan"
    r"|EndsWithScan))))"
    r"|(?:Node|DirectedRelationship|UndirectedRelationship)By(?:Element)?IdSeek"
    r"|(?:Node|Relationship)CountFromCountStore|MultiNodeIndexSeek|Argument|EmptyRow"
    # patterns
    r"|(?:Optional|VarLength)?Expand|ProjectEndpoints|Repeat|(?:Stateful)?ShortestPath"
    r"|NullifyMetadata|Triadic(?:Build|Filter|Selection)"
    # subqueries and joins
    r"|(?:Anti)?(?:Semi)?Apply|Let(?:SelectOr)?(?:Anti)?SemiApply|SelectOr(?:Anti)?SemiApply"
    r"|RollUpApply|Anti|CartesianProduct|Node(?:Left|Right)OuterHashJoin|(?:Node|Value)HashJoin"
    r"|Union|OrderedUnion|Optional"
    # rows
    r"|CacheProperties|(?:Ordered)?Distinct|(?:Eager|Ordered)Aggregation|Filter|Limit|Skip"
    r"|(?:Partial)?(?:Sort|Top)|ProduceResults|Projection|Eager|ArgumentTracker|EmptyResult"
)


def only_reads(plan: Mapping[str, Any]) -> bool:
    """Whether a plan, as the summary of an EXPLAIN has it, consists of operators that only read."""
    # `VarLengthExpand(All)@neo4j` is an operator, its manner and the database.
    operator = re.split(r"[@(]", plan["operatorType"], maxsplit=1)[0]
    return bool(_READING.fullmatch(operator)) and all(map(only_reads, plan.get("children", ())))
