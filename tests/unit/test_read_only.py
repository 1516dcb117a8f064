"""A caller's own Cypher is refused unless all of it only reads."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestration.backends.graph.cypher_check import checked
from agent_orchestration.backends.graph.read_only import (
    PARAMETER_BYTES,
    RESULT_BYTES,
    ROWS,
    ReadOnlyRunner,
    check_parameters,
    check_read_only,
    run_read_only,
)
from agent_orchestration.core.entities import Row
from agent_orchestration.core.errors import Busy, Rejected

HOSTILE = [
    # writes, plain and in every place a clause can stand
    "CREATE (n:Task {id: 'x'})",
    "MATCH (n) SET n.x = 1",
    "MATCH (n) SET n.x = 1 RETURN n",
    "MATCH (n) DELETE n",
    "MATCH (n) DETACH DELETE n",
    "MATCH (n) NODETACH DELETE n",
    "MATCH (n) REMOVE n.x",
    "MERGE (n:Task {id: 'x'}) RETURN n",
    "MATCH (n) RETURN n MERGE (m)",
    "INSERT (:Task {id: 'x'})",
    "MATCH (n) FOREACH (x IN [1] | SET n.x = x)",
    "FOREACH (x IN [1] | CREATE (:Task))",
    "MATCH (n) RETURN * SET n.x = 1",
    "MATCH (n) WITH * DELETE n",
    "MATCH (n) WITH count(*) AS c CREATE (:T)",
    "MATCH (n) WHERE n:A SET n.x = 1",
    "MATCH (n) WITH n ORDER BY n.id DESC SET n.x = 1",
    "MATCH (n) WITH n LIMIT 1 SET n.x = 1",
    "MATCH (n) WITH n LIMIT $l SET n.x = 1",
    "MATCH (n) WHERE n.x = 'a' SET n.x = 1",
    "MATCH (n) WHERE n.x IS NULL SET n.x = 1",
    "MATCH (n) WHERE n.x IS NOT NULL DELETE n",
    "MATCH (n) WHERE CASE WHEN true THEN true END SET n.x = 1",
    "MATCH (n) RETURN [1] SET n.x = 1",
    "MATCH (n) RETURN {a: 1} SET n.x = 1",
    "UNWIND [1] AS x CREATE (:Task {id: x})",
    "RETURN 1 UNION CREATE (n) RETURN 1",
    "RETURN 1 UNION ALL MATCH (n) DELETE n RETURN 1",
    "CALL { CREATE (n:T) RETURN n } RETURN n",
    "CALL { MATCH (n) DETACH DELETE n }",
    "MATCH (n) CALL { WITH n DETACH DELETE n } IN TRANSACTIONS OF 100 ROWS",
    "MATCH (n) CALL (n) { SET n.x = 1 } RETURN n",
    "CALL { RETURN 1 AS x } IN CONCURRENT TRANSACTIONS RETURN x",
    "MATCH (n) WHERE EXISTS { CREATE (:T) } RETURN n",
    "MATCH (n) RETURN COUNT { MATCH (m) DELETE m } AS c",
    "MATCH (n) RETURN COLLECT { MATCH (m) SET m.x = 1 RETURN m } AS c",
    # procedures
    "CALL db.labels()",
    "CALL db.labels() YIELD label RETURN label",
    "CALL apoc.load.json('http://169.254.169.254/') YIELD value RETURN value",
    "MATCH (n) CALL apoc.refactor.rename.label('a', 'b') YIELD x RETURN x",
    "CALL { CALL dbms.procedures() YIELD name RETURN name } RETURN name",
    "CALL `db`.`labels`() YIELD label RETURN label",
    "CALL table.upsert({})",
    "CALL pagerank() YIELD node RETURN node",
    "CALL\n/* x */ db.labels()",
    # files, networks, other databases, administration
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "LOAD CSV WITH HEADERS FROM 'http://internal/' AS line RETURN line",
    "MATCH (n) LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "RETURN 1 AS x UNION LOAD CSV FROM 'file:///etc/passwd' AS x RETURN x",
    "USE system MATCH (n) RETURN n",
    "CALL { USE other MATCH (n) RETURN n } RETURN n",
    "SHOW INDEXES",
    "SHOW DATABASES YIELD name RETURN name",
    "TERMINATE TRANSACTION 'x'",
    "DROP INDEX task_status_index",
    "CREATE INDEX x FOR (n:Task) ON (n.x)",
    "ALTER USER neo4j SET PASSWORD 'x'",
    "GRANT ROLE admin TO me",
    # prefixes and extensions
    "EXPLAIN MATCH (n) RETURN n",
    "PROFILE MATCH (n) RETURN n",
    "CYPHER 5 MATCH (n) RETURN n",
    "CYPHER runtime=slotted MATCH (n) RETURN n",
    "USING PERIODIC COMMIT LOAD CSV FROM 'x' AS l CREATE (:T)",
    "MATCH (n) RETURN n FORMAT CSV",
    "FOR VALID_TIME ALL MATCH (n) RETURN n",
    "MATCH (n) FINISH",
    "MATCH (n) FILTER n.x = 1 RETURN n",
    "MATCH (n) LET x = 1 RETURN x",
    "MATCH (n) RETURN n OFFSET 3",
    "MATCH (n) RETURN n INTERSECT MATCH (n) RETURN n",
    "MATCH (n) USING INDEX n:Task(id) RETURN n",
    # functions that are not on the list
    "RETURN apoc.load.json('http://x') AS x",
    "RETURN apoc . load /* x */ . json('http://x') AS x",
    "RETURN `apoc`.`load`.`json`('http://x') AS x",
    "MATCH (n) WHERE apoc.cypher.runFirstColumnSingle('CREATE (x)', {}) RETURN n",
    "RETURN [x IN [1] WHERE x:A | apoc.load.json('x')] AS x",
    "RETURN {a: 1}.b('x') AS x",
    "RETURN $x.run('CREATE (n)') AS x",
    "RETURN file() AS x",
    "RETURN linenumber() AS x",
    "RETURN rand() AS x",
    "RETURN randomUUID() AS x",
    "MATCH (n) RETURN text_score(n, 'title', 'x') AS x",
    "RETURN reduce(s = 'xxxxxxxx', i IN range(1, 40) | s + s) AS x",
    "RETURN replace($x, 'a', $x) AS x",
    "MATCH (n) WHERE n.x =~ '(a+)+b' RETURN n",
    "MATCH (n:$label) RETURN n",
    "MATCH (n:$($label)) RETURN n",
    # more than one statement
    "RETURN 1; RETURN 2",
    "RETURN 1; CREATE (n)",
    "RETURN 1;;",
    "; RETURN 1",
    "MATCH (n) RETURN n; MATCH (n) DETACH DELETE n;",
    # disguises
    "MATCH (n) /* x */ SET /* y */ n.x = 1",
    "MATCH (n) // RETURN n\nSET n.x = 1",
    "MATCH (n)SET n.x=1",
    "MATCH (n) sEt n.x = 1",
    "MATCH (n) \\u0053ET n.x = 1",
    "MATCH (n) WHERE n.x = '\\u0027 SET n.x = 1 //' RETURN n",
    "MATCH (n) WHERE n.x = '\\\\u0027 SET n.x = 1 //' RETURN n",
    "MATCH (n) WHERE n.x = '\\' RETURN n //' SET n.x = 1",
    "MATCH (n) WHERE n.x = 'a''b' RETURN n",
    "MATCH (n) WHERE n.`\\u0060 SET n.x = 1 //` = 1 RETURN n",
    "MATCH (n) RETURN n.`a``b`",
    "MATCH (n) RETURN n // \r SET n.x = 1",
    "MATCH (n) RETURN n // \r ' \n SET n.x = 1 //'",
    "MATCH (n) RETURN n /* /* */ ' */ SET n.x = 1 //'",
    "MATCH (n) RETURN n /* /* /**/ */ ' */ SET n.x = 1 //'",
    "MATCH (n) RETURN n /* /* /**/ AS x",
    "MATCH (n) RETURN n /*/ SET n.x = 1 /*/",
    "MATCH (n) RETURN n /* never ends",
    "MATCH (n) RETURN 'never ends",
    "MATCH (n)\u2028SET n.x = 1",
    "MATCH (n)\u00a0RETURN n",
    "MATCH (n) \uff33\uff25\uff34 n.x = 1",
    "MATCH (n) \u017fet n.x = 1",
    "MATCH (n) // \u2028 SET n.x = 1\nRETURN n",
    "MATCH (n) RETURN n.`\u0455et`",
    "MATCH (n)\x0bSET n.x = 1",
    "MATCH (n)\x00SET n.x = 1",
    "MATCH (n) RETURN 'a\x00b'",
    "MATCH (n) RETURN '\ud800'",
    "RETURN 1SET n.x = 1",
    "RETURN 1.SET (n)",
    "RETURN 0xSET",
    # not statements
    "",
    "   ",
    ";",
    "// only a comment",
    "hello",
    "MATCH",
    "MATCH (n",
    "MATCH (n)) RETURN n",
    "MATCH (n] RETURN n",
    "MATCH (n:) RETURN n",
    "RETURN " + "(" * 40 + "1" + ")" * 40,
    "RETURN 1 AS x " + "UNION RETURN 1 AS x " * 20,
    "WITH 1 AS x " * 80 + "RETURN x",
]

LEGITIMATE = [
    "MATCH (n) RETURN n",
    "MATCH (n:Task) RETURN count(*) AS tasks;",
    "match (n:Task {status: 'ready'}) return n.id as id order by id desc limit 10",
    "MATCH (n:Task)-[r:DEPENDS_ON]->(m:Task) RETURN n.id AS a, m.id AS b, r",
    "MATCH (n)-[:A|B]->(m)<--(o)--(p) RETURN DISTINCT n, m, o, p SKIP 2 LIMIT 3",
    "MATCH p = (a:Task {id: $id})-[:DEPENDS_ON*1..20]->(b:Task) RETURN nodes(p) AS path, length(p)",
    "MATCH (a)-[*]->(b) RETURN count(b)",
    "MATCH (a)-[*..3]->(b), (c)-[r:X*2]-(d) RETURN a.id, c.id",
    "MATCH p = shortestPath((a {id: 'x'})-[:X*..5]-(b {id: 'y'})) RETURN p",
    "OPTIONAL MATCH (n:Agent) WHERE n.status <> 'retired' RETURN n",
    "UNWIND $ids AS id MATCH (n {id: id}) RETURN n.id AS id",
    "UNWIND [1, 2.5, .5, 1e3, 0x1F] AS x RETURN x * 2 + 1 - -x / 3 % 2 ^ 2 AS y",
    "WITH 1 AS x WHERE x > 0 RETURN x",
    "MATCH (n) WITH n.status AS status, count(*) AS c WHERE c > 1 RETURN status, c ORDER BY c DESC",
    "MATCH (n) WITH *, n.x AS x RETURN *",
    "MATCH (n) RETURN * ORDER BY n.id SKIP $skip LIMIT $limit",
    "MATCH (n) WHERE n.a STARTS WITH 'a' AND n.b ENDS WITH \"b\" OR n.c CONTAINS 'c' RETURN n",
    "MATCH (n) WHERE n.x = 1 XOR NOT n.done RETURN n",
    "MATCH (n) WHERE n.x IS NULL OR n.y IS NOT NULL RETURN n",
    "MATCH (n) WHERE n.x IN ['a', 'b'] AND NOT (n)-->(:Task) RETURN n",
    "MATCH (n) WHERE EXISTS { (n)-[:X]->(:Task) } RETURN n",
    "MATCH (n) WHERE NOT EXISTS { MATCH (n)-[r:X]->(m) WHERE m.level >= r.level } RETURN n",
    "MATCH (n) RETURN COUNT { (n)-->() } AS c, COLLECT { MATCH (n)-->(m) RETURN m.id } AS ids",
    "MATCH (n) CALL { WITH n MATCH (n)-->(m) RETURN count(m) AS c } RETURN n.id, c",
    "MATCH (n) CALL (n) { MATCH (n)-->(m) RETURN m UNION MATCH (n)<--(m) RETURN m } RETURN m",
    "MATCH (n:A) RETURN n.id AS id UNION ALL MATCH (n:B) RETURN n.id AS id",
    "MATCH (n) RETURN n.set AS a, n.delete AS b, n.create, n.call, n.merge",
    "MATCH (n:Delete)-[:CREATE]->(m:Set|Remove) RETURN n, m",
    "RETURN {set: 1, delete: 'x', merge: [1]} AS map",
    "MATCH (n) RETURN n.`set`, n.`a b` AS `detach delete`",
    "MATCH (n) RETURN 'CREATE (x) DELETE x; // no' AS text, \"it's /* fine */\" AS more",
    "MATCH (n) // SET n.x = 1\nRETURN n /* DELETE n */",
    "MATCH (n)\r\nRETURN n // the end",
    "MATCH (n) WHERE n.title = 'h\u00e9llo \u2028 \U0001f600' RETURN n",
    "MATCH (n) WHERE n.title = 'caf\\u00e9 \\n \\' \\\\' RETURN n",
    "MATCH (n) RETURN CASE n.x WHEN 1 THEN 'a' WHEN 2 THEN 'b' ELSE 'c' END AS x",
    "MATCH (n) RETURN CASE WHEN n.x > 1 THEN 'a' END AS x, n.y",
    "MATCH (n) RETURN [x IN n.labels WHERE x STARTS WITH 'a' | toUpper(x)] AS l",
    "MATCH (n) RETURN [(n)-[r:X]->(m:Task) WHERE m.x > 1 | {id: m.id, level: r.level}] AS l",
    "MATCH (n) RETURN n {.id, .title, .*, extra: 1, n} AS map",
    "MATCH (n) WHERE all(x IN n.l WHERE x > 1) AND any(x IN n.l WHERE x:A) RETURN n.l[1..2]",
    "MATCH (n) RETURN n['title'], $map.key, head(collect(n)).id",
    "MATCH (n:(A|B)&!C) WHERE n:A|B RETURN n",
    "MATCH (e) WHERE e.at > datetime() - duration('PT1H') RETURN duration.between(e.at, e.b)",
    "MATCH (n) RETURN coalesce(n.a, 'x'), size(n.l), keys(n), labels(n)[0], toString(n.x)",
    "MATCH (a), (b) WHERE a.x < b.x AND a.x <= b.y AND a <> b RETURN count(DISTINCT a) AS count",
    "RETURN 1 AS order, 2 AS limit, 3 AS type",
    "MATCH ((a)-[:X]->(b)){1,3} RETURN a",
    "MATCH (n) WHERE n.`Set` = 1 RETURN count { (n)--() }",
]


@pytest.mark.parametrize("query", HOSTILE)
def test_what_may_do_more_than_read_is_refused(query: str) -> None:
    with pytest.raises(Rejected) as refused:
        check_read_only(query)
    assert refused.value.code == "cypher_not_allowed"
    assert refused.value.details["field"] == "query"
    assert ": " in refused.value.reason


@pytest.mark.parametrize("query", LEGITIMATE)
def test_what_only_reads_is_allowed(query: str) -> None:
    check_read_only(query)


def test_there_are_enough_examples() -> None:
    assert len(set(HOSTILE)) >= 60
    assert len(set(LEGITIMATE)) >= 30


def test_a_refusal_never_repeats_the_callers_text() -> None:
    for query in ("MATCH (n) secretword n", "RETURN secretword('x')", "RETURN 'secretword"):
        with pytest.raises(Rejected) as refused:
            check_read_only(query)
        assert "secret" not in str(refused.value.to_dict()).lower()


def test_a_refusal_says_which_word_and_where() -> None:
    with pytest.raises(Rejected, match="SET is not allowed at character 11: write one statement"):
        check_read_only("MATCH (n) set n.x = 1")


def test_a_query_is_limited_in_bytes() -> None:
    fits = "RETURN '" + "x" * (8192 - 9) + "'"
    check_read_only(fits)
    for query in (fits + " ", "RETURN '" + "\u00e9" * 4096 + "'"):
        with pytest.raises(Rejected) as refused:
            check_read_only(query)
        assert refused.value.code == "cypher_too_long"


def test_the_engine_sees_neither_comments_nor_the_semicolon() -> None:
    query = "MATCH (n) // one; \n/* two */RETURN ';' AS `;`, 1/**/AS x ; // three"
    assert checked(query) == "MATCH (n)    RETURN ';' AS `;`, 1 AS x"


WORDS = [query.split(" ") for query in HOSTILE if " " in query]
GAPS = ("  ", " \t", "\n", "\r\n", " /**/ ", " /* RETURN */ ", " // MATCH\n", "/***/")


@given(st.data())
def test_gaps_and_case_never_make_a_refused_statement_pass(data: st.DataObject) -> None:
    words = data.draw(st.sampled_from(WORDS))
    altered = data.draw(st.sampled_from([str, str.lower, str.upper, str.swapcase]))
    text = altered(words[0])
    for word in words[1:]:
        text += data.draw(st.sampled_from((" ", *GAPS))) + altered(word)
    with pytest.raises(Rejected):
        check_read_only(text)


@given(st.sampled_from([q for q in LEGITIMATE if "'" not in q and '"' not in q and "//" not in q]))
def test_a_write_after_any_read_is_refused(query: str) -> None:
    for write in ("SET n.x = 1", "DETACH DELETE n", "CREATE (x)", "MERGE (x)", "REMOVE n.x"):
        with pytest.raises(Rejected):
            check_read_only(f"{query.rstrip(';')} {write}")


@given(st.text(max_size=200))
def test_any_text_is_allowed_or_rejected_and_nothing_else(text: str) -> None:
    for query in (text, f"MATCH (n) WHERE n.x = {text} RETURN n", f"MATCH (n) RETURN '{text}'"):
        with contextlib.suppress(Rejected):
            check_read_only(query)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_parameters_are_json(parameters: dict[str, Any]) -> None:
    check_parameters(parameters)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (2**63, "beyond 64 bits"),
        (-(2**63) - 1, "beyond 64 bits"),
        ([1, [2**64]], "beyond 64 bits"),
        (float("nan"), "not finite"),
        (float("inf"), "not finite"),
        ("\ud800", "surrogate"),
        ({"a": {"b": "\udfff"}}, "surrogate"),
        ({"\ud800": 1}, "not text"),
        ({1: 2}, "not text"),
        (b"x", "not JSON"),
        (datetime(2024, 1, 1, tzinfo=UTC), "not JSON"),
        ((1, 2), "not JSON"),
    ],
)
def test_other_parameters_are_refused_by_name(value: Any, problem: str) -> None:
    with pytest.raises(Rejected, match=problem) as refused:
        check_parameters({"fine": 1, "bad": value})
    assert refused.value.details["field"] == "parameters.bad"


def test_parameters_are_limited_in_bytes_and_depth() -> None:
    check_parameters({"x": "x" * (PARAMETER_BYTES - 8)})
    with pytest.raises(Rejected, match="at most"):
        check_parameters({"x": "x" * PARAMETER_BYTES})
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(Rejected, match="nested more than 16 deep"):
        check_parameters({"x": deep})


class ScriptedGraph:
    """Answers every query with the same rows, when told to."""

    def __init__(self, rows: list[Row], *, reads: bool = True) -> None:
        self.rows = rows
        self.reads = reads
        self.waiting = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.go.set()
        self.asked: list[tuple[str, dict[str, Any], float, int | None]] = []

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def write(self, write: Any) -> None: ...
    async def clear(self) -> None: ...

    async def position(self, partition: int) -> tuple[int, int] | None:
        return None

    async def published(self, partition: int) -> tuple[int, int] | None:
        return None

    async def explain_is_read(self, statement: str, parameters: Mapping[str, Any]) -> bool:
        return self.reads

    async def query(
        self,
        statement: str,
        parameters: Mapping[str, Any],
        *,
        seconds: float = 5.0,
        limit: int | None = None,
    ) -> list[Row]:
        self.asked.append((statement, dict(parameters), seconds, limit))
        self.waiting.release()
        await self.go.wait()
        return self.rows[:limit]


async def test_answers_are_plain_json_without_control_characters() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 6000, tzinfo=UTC)
    row = {
        "text": "a\x00b\x1b[31mc\x7f\x9b\u2028\td\ne\r",
        "node": {"_labels": ["Task"], "at": moment, "key\x07": ["\x08x", date(2024, 1, 2)]},
        "numbers": [1, 2.5, True, None, float("nan"), 2**62],
    }
    graph = ScriptedGraph([row])
    assert await run_read_only(graph, "MATCH (n) /* x */ RETURN n;", {"a": 1}) == [
        {
            "text": "ab[31mc\td\ne",
            "node": {
                "_labels": ["Task"],
                "at": "2024-01-02T03:04:05.006000Z",
                "key": ["x", "2024-01-02"],
            },
            "numbers": [1, 2.5, True, None, "nan", 2**62],
        }
    ]
    assert graph.asked == [("MATCH (n)   RETURN n", {"a": 1}, 5.0, ROWS + 1)]


async def test_answers_are_limited_in_rows_and_bytes() -> None:
    assert len(await run_read_only(ScriptedGraph([{"x": 1}] * ROWS), "RETURN 1", {})) == ROWS
    large = {"x": "x" * (RESULT_BYTES // 4)}
    assert len(await run_read_only(ScriptedGraph([large] * 3), "RETURN 1", {})) == 3
    for rows in ([{"x": 1}] * (ROWS + 1), [large] * 4):
        with pytest.raises(Rejected, match="add a LIMIT") as refused:
            await run_read_only(ScriptedGraph(rows), "RETURN 1", {})
        assert refused.value.code == "result_too_large"


async def test_a_plan_that_does_more_is_refused_before_it_runs() -> None:
    graph = ScriptedGraph([], reads=False)
    with pytest.raises(Rejected, match="the plan of this query"):
        await run_read_only(graph, "RETURN 1", {})
    assert graph.asked == []


async def test_two_at_once_for_each_tenant() -> None:
    graph = ScriptedGraph([{"x": 1}])
    graph.go.clear()
    runner = ReadOnlyRunner()
    running = [asyncio.create_task(runner.run(graph, "RETURN 1", {}, "a")) for _ in range(2)]
    running.append(asyncio.create_task(runner.run(graph, "RETURN 1", {}, "b")))
    for _ in running:
        await graph.waiting.acquire()
    with pytest.raises(Busy) as busy:
        await runner.run(graph, "RETURN 1", {}, "a")
    assert busy.value.details["retry_after"] == 1
    running[0].cancel()
    graph.go.set()
    await asyncio.wait(running)
    assert running[0].cancelled()
    assert await runner.run(graph, "RETURN 1", {}, "a") == [{"x": 1}]
