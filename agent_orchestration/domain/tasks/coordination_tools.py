"""Tools that begin work which a coordinator has others do."""

from typing import Annotated, Any, Literal

from pydantic import Field

from agent_orchestration.core.guards import unknown
from agent_orchestration.core.tool import Gateway, Role, tool
from agent_orchestration.core.types import Id, Key, Text, json_text
from agent_orchestration.domain.tasks.commands import CreateTask
from agent_orchestration.domain.tasks.model import RequirementSpec
from agent_orchestration.domain.tasks.views import CreatedTask, task_answer
from agent_orchestration.domain.teams.model import Team

Way = Literal["pipeline", "maker_checker", "handoff", "lead", "group_chat"]
GoalText = Annotated[
    Text, Field(min_length=1, max_length=4000, description="what is to be reached")
]
#: Short enough for the ids of its steps and plans, which begin with it.
CoordinationId = Annotated[Id | None, Field(max_length=60, description="chosen if left out")]
StepsTeam = Annotated[Id | None, Field(description="only its members may do the steps")]
LEASE_SECONDS = 30
TITLE_LENGTH = 200


@tool(title="Plan a goal and reach it", role=Role.OPERATOR, toolsets=("converse",))
async def plan_goal(
    gateway: Gateway,
    goal: GoalText,
    approval: Annotated[
        Literal["ask", "none"], Field(description="ask: carried out after approve_plan only")
    ] = "ask",
    replans: Annotated[
        int, Field(ge=0, le=10, description="new plans at most, when one has failed")
    ] = 2,
    team_id: StepsTeam = None,
    id: CoordinationId = None,
    idempotency_key: Key | None = None,
) -> CreatedTask:
    """Have a goal planned by an agent with the capability `planning`, and the plan carried out.

    Answers the task that stands for the goal: its progress shows the draft that waits for
    `approve_plan`, its result the results of the plan. It needs a worker started with
    `--coordinator`; without one `unstaffed` names `coordination`.
    """
    asked = {"way": "plan", "goal": goal, "approval": approval, "replans": replans}
    return await _begun(gateway, id, asked, team_id, idempotency_key)


@tool(title="Let agents work together", role=Role.OPERATOR, toolsets=("converse",))
async def work_together(
    gateway: Gateway,
    way: Annotated[Way, Field(description="how they work together")],
    goal: GoalText,
    options: Annotated[
        dict[str, Any],
        Field(
            description="who does what; each is {agent_id} or {capability}. pipeline: stages"
            " [{…, instructions}]. maker_checker: maker, checker. handoff, lead, group_chat:"
            " members; lead also: lead; group_chat also: policy, moderator"
        ),
    ],
    team_id: StepsTeam = None,
    id: CoordinationId = None,
    idempotency_key: Key | None = None,
) -> CreatedTask:
    """Have several agents reach a goal together: one after the other, one checked by another,
    passing it on, led by one, or in a conversation.

    Answers the task that stands for the goal. It fails with `invalid_input`, which names the
    field, where the options do not fit the way, and needs a worker started with `--coordinator`.
    """
    asked = {**options, "way": way, "goal": goal}
    return await _begun(gateway, id, asked, team_id, idempotency_key)


async def _begun(
    gateway: Gateway,
    task_id: str | None,
    asked: dict[str, Any],
    team_id: str | None,
    key: str | None,
) -> CreatedTask:
    """The coordinating task. It is for the coordinator, whatever team does its steps."""
    if team_id is not None:
        asked = {**asked, "team_id": team_id}
        if not await gateway.ask("team", team_id=team_id):
            raise unknown(Team, team_id)
    command = CreateTask(
        task_id=task_id,
        title=f"{asked['way']}: {' '.join(asked['goal'].split())}"[:TITLE_LENGTH],
        requires=(RequirementSpec("coordination"),),
        payload=json_text(asked, "options"),
        lease_seconds=LEASE_SECONDS,
    )
    result = await gateway.submit(command, key=key)
    answer = await task_answer(gateway, result.data["task_id"], result.seq)
    return CreatedTask(**answer, unstaffed=result.data["unstaffed"])
