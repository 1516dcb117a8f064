"""No text that was put together at run time reaches a query, and every question has a name."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from agent_orchestration.app import REGISTRY
from tests.architecture.source import called_name, calls, functions, modules, short, tree

#: Calls whose first argument is a statement of a query language.
QUERYING = {"cypher", "execute", "executemany", "executescript", "query", "run_query"}
STATEMENT_KEYWORDS = {"statement", "query", "sql"}
#: The modules that make statements, from labels and names declared on the entities.
BUILDERS = {
    "agent_orchestration/backends/graph/statements.py",
    "agent_orchestration/backends/graph/load_statements.py",
    "agent_orchestration/backends/graph/schema_statements.py",
    "agent_orchestration/backends/graph/kglite_statements.py",
    "agent_orchestration/backends/graph/neo4j/batches.py",
}
CYPHER = re.compile(r"\b(MATCH \(|MERGE \(|CREATE \(|UNWIND |DETACH DELETE|RETURN )")


def is_built(node: ast.AST) -> bool:
    """Whether an expression puts text together: f-string, `%`, `+`, `format`, `join`, `replace`."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Mod | ast.Add)
    if isinstance(node, ast.IfExp):
        return is_built(node.body) or is_built(node.orelse)
    return isinstance(node, ast.Call) and called_name(node) in {"format", "join", "replace"}


def statements(call: ast.Call) -> Iterator[ast.expr]:
    yield from call.args[:1]
    yield from (k.value for k in call.keywords if k.arg in STATEMENT_KEYWORDS)


def built_names(scope: ast.AST) -> set[str]:
    """The variables of a scope that ever hold text put together."""
    names: set[str] = set()
    for node in ast.walk(scope):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.NamedExpr):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if node.value is not None and is_built(node.value):
                names |= {t.id for t in targets if isinstance(t, ast.Name)}
    return names


def offences(path: Path) -> Iterator[str]:
    for scope in (tree(path), *functions(path)):
        names = built_names(scope)
        for call in (node for node in ast.walk(scope) if isinstance(node, ast.Call)):
            if called_name(call) not in QUERYING:
                continue
            for given in statements(call):
                if is_built(given) or (isinstance(given, ast.Name) and given.id in names):
                    yield f"{short(path)}:{given.lineno}"


def test_no_statement_is_put_together_at_run_time() -> None:
    found = {where for p in modules() if short(p) not in BUILDERS for where in offences(p)}
    assert found == set()


def test_only_the_builders_put_cypher_together() -> None:
    found = {
        f"{short(path)}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.JoinedStr)
        if is_built(node)
        if any(isinstance(p, ast.Constant) and CYPHER.search(str(p.value)) for p in node.values)
    }
    assert {where for where in found if where.rpartition(":")[0] not in BUILDERS} == set()


def test_the_check_itself_finds_built_statements(tmp_path: Path) -> None:
    cases = [
        'graph.query(f"MATCH (n {{id: {x}}}) RETURN n")',
        'graph.query("MATCH (n) RETURN " + x)',
        'graph.query("MATCH (n) RETURN %s" % x)',
        'graph.query(statement="MATCH {}".format(x))',
        'text = f"MATCH {x}"\ngraph.cypher(text)',
    ]
    for number, source in enumerate(cases):
        path = tmp_path / f"case_{number}.py"
        path.write_text(source, "utf-8")
        assert any(
            is_built(given) or (isinstance(given, ast.Name) and given.id in built_names(tree(path)))
            for call in calls(path)
            if called_name(call) in QUERYING
            for given in statements(call)
        ), source


def test_every_named_query_says_in_a_sentence_what_it_answers() -> None:
    mute = [q.name for q in REGISTRY.queries.values() if len(q.sentence.split()) < 3]
    assert mute == []


def test_every_named_query_keeps_to_the_callers_tenant() -> None:
    open_to_all = [q.name for q in REGISTRY.queries.values() if "$tenant" not in q.statement]
    assert open_to_all == []


def test_patterns_inside_a_question_begin_at_what_is_known() -> None:
    """`[(a)<-[:ASSIGNED_TO]-(t:Task) | t.id]` looks at the tasks of an agent; begun at the other
    end, it would look at all tasks for each agent."""
    unbound = re.compile(r"(?:\[|\b(?:COUNT|EXISTS) \{)\s*(?:MATCH\s+)?\(\w*:")
    assert unbound.search("RETURN [(t:Task)-[:ASSIGNED_TO]->(a) | t.id] AS ids")
    found = [q.name for q in REGISTRY.queries.values() if unbound.search(q.statement)]
    assert found == []
