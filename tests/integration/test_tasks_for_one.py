"""Tasks that are meant for one agent, as callers see them."""

from pathlib import Path

from tests.integration.world import World


async def explained(world: World) -> tuple[str, str | None]:
    """What is said of the task `t`, which waits for nobody but Ann."""
    answer = await world.call("explain_task", task_id="t")
    waits = [(one["what"], one["id"]) for one in answer["waits_for"]]
    assert waits == [("agent", "ann")]
    return answer["summary"], answer["next_step"]


async def test_a_task_for_one_agent_says_what_keeps_that_agent_from_it(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.agent("bob", capabilities=[{"name": "sql"}])
        await world.call("form_team", id="crew", goal="x", members=[{"agent_id": "ann"}])
        own = {"agent_id": "ann", "team_id": "crew", "requires": [{"capability": "sql"}]}
        created = await world.call("create_task", id="t", title="T", **own)
        assert (created["task"]["meant_for"], created["unstaffed"]) == ("ann", ["sql"])
        ready = "It is ready for agent ann only, which is"
        said = await explained(world)
        assert said == (f"{ready} idle.", "give ann sql at that level with update_agent")
        await world.call("update_agent", agent_id="ann", capabilities=[{"name": "sql"}])
        assert await explained(world) == (f"{ready} idle.", "ann claims it")
        await world.call("update_team", team_id="crew", add=[{"agent_id": "bob"}], remove=["ann"])
        said = await explained(world)
        assert said == (f"{ready} idle.", "add ann to team crew with update_team")
        await world.call("update_team", team_id="crew", add=[{"agent_id": "ann"}])
        await world.call("create_task", id="other", title="O", priority=1)
        await world.call("claim_task", agent_id="ann")
        busy = "It waits for agent ann, which alone may claim it, to be free."
        assert await explained(world) == (busy, "ann ends one of its tasks and claims it")
        await world.call("retire_agent", agent_id="ann", force=True)
        again = "nothing: cancel it, and create it anew for another agent"
        assert await explained(world) == (f"{ready} retired.", again)


async def test_the_graph_knows_whom_a_task_is_meant_for(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.agent("ann")
        await world.call("create_task", id="t", title="T", agent_id="ann")
        found = await world.call(
            "read_cypher",
            query="MATCH (t:Task)-[:MEANT_FOR]->(a:Agent) RETURN t.id AS task, a.id AS agent",
        )
        assert found["rows"] == [{"task": "t", "agent": "ann"}]
