"""The words of Cypher that a caller's statement may use, those it may not, and how many."""

MAX_DEPTH = 32
MAX_CLAUSES = 64
#: kglite's parser ends the process on some hundreds of them.
MAX_UNIONS = 8

#: Functions that compute from their arguments alone. Not among them: what reads files, networks
#: or vectors, what is random, and what makes much text of little (`replace`, `reduce`).
FUNCTIONS = frozenset(
    """
    abs acos all allshortestpaths any asin atan atan2 avg ceil coalesce collect cos cot count date
    date.truncate datetime datetime.truncate degrees duration duration.between duration.indays
    duration.inmonths duration.inseconds e elementid endnode exists exp floor head id isempty keys
    labels last left length localdatetime log log10 lower ltrim max min nodes none nullif
    percentilecont percentiledisc pi properties radians range relationships reverse right round
    rtrim shortestpath sign sin single size split sqrt startnode stdev stdevp substring sum tail tan
    timestamp toboolean tobooleanornull tofloat tofloatornull tointeger tointegerornull tolower
    tostring tostringornull toupper trim type upper valuetype
    """.split()  # noqa: SIM905 (a list of sixty quoted words is harder to read)
)

CLAUSES = frozenset({"MATCH", "OPTIONAL", "UNWIND", "WITH", "RETURN", "CALL"})
#: Words between two operands; those of `PAIRS` have a second part.
JOINING = frozenset(
    "AND OR XOR IN CONTAINS AS WHERE SKIP LIMIT WHEN THEN ELSE".split()  # noqa: SIM905 (the same)
)
#: Words after which an operand is still complete.
ENDING = frozenset({"ASC", "ASCENDING", "DESC", "DESCENDING", "END"})
PAIRS = {"STARTS": "WITH", "ENDS": "WITH", "ORDER": "BY"}
SUBQUERIES = frozenset({"EXISTS", "COUNT", "COLLECT"})
#: Never an operand: unquoted, each would be taken for the beginning of something else.
RESERVED = frozenset(
    """
    ALTER CALL COMMIT CREATE CSV CYPHER DELETE DENY DETACH DROP EXPLAIN FINISH FOREACH GRANT INSERT
    LOAD MATCH MERGE NODETACH OPTIONAL PROFILE REMOVE RETURN REVOKE SET SHOW TERMINATE TRANSACTIONS
    UNION UNWIND USE WHERE WITH YIELD
    """.split()  # noqa: SIM905 (the same)
)
#: Words whose name may be told to the caller; others could be anything.
_KNOWN = RESERVED | CLAUSES | JOINING | ENDING | PAIRS.keys() | {"FORMAT", "FOR", "USING"}


def told(word: str) -> str:
    """The word as errors may show it: Cypher's own by name, others could be anything."""
    return word if word in _KNOWN else "a word"
