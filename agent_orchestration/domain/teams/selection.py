"""Choosing a team's members: shared by everything that forms teams."""

import heapq
from collections.abc import Mapping, Sequence

from agent_orchestration.core.errors import Rejected
from agent_orchestration.core.guards import known
from agent_orchestration.core.state import TenantState
from agent_orchestration.domain.agents.index import AgentsByCapability, KnownAgents
from agent_orchestration.domain.agents.model import Agent
from agent_orchestration.domain.tasks.model import Requirement
from agent_orchestration.domain.teams.model import DEFAULT_ROLE, Member

Rank = tuple[int, int, int, str]
Levels = Mapping[str, int]
Candidate = tuple[Rank, Agent, Levels]


def choose_members(
    state: TenantState,
    requires: Sequence[Requirement],
    given: Sequence[Member],
    min_size: int,
    max_size: int,
) -> tuple[Member, ...]:
    """The given members, and greedily more of them until every requirement is covered and the
    team is large enough: who covers most of what is missing, then at the highest levels, then who
    holds fewest tasks, then by id. Beyond coverage, only those who meet a requirement.

    Raises `Rejected` where nobody is left or the team is full.
    """
    chosen = {member.agent_id: member for member in given}
    needs = {need.capability: need.level for need in requires}
    missing = dict(needs)
    for member in given:
        _cover(missing, _useful(known_agent(state, member.agent_id, "members"), needs))
    complete = not missing and len(chosen) >= min_size
    candidates = [] if complete else _candidates(state, needs, missing, chosen)
    while missing or len(chosen) < min_size:
        best = _take_best(candidates, missing)
        if best is None or (missing and not best[0][0]):
            raise _incomplete(missing, min_size, len(chosen))
        if len(chosen) >= max_size:
            raise Rejected(
                "team_too_small",
                f"max_size: {max_size} agents cannot cover {_named(missing)}; allow more, or"
                " require less",
                field="max_size",
                uncovered=_first(missing),
            )
        _, agent, levels = best
        chosen[agent.id] = Member(agent.id, DEFAULT_ROLE)
        _cover(missing, levels)
    return tuple(sorted(chosen.values()))


def known_agent(state: TenantState, agent_id: str, field: str) -> Agent:
    """An agent that can be a member; `field` is the argument that names it."""
    agent = known(state, Agent, agent_id, field)
    if agent.retired_at is not None:
        raise Rejected(
            "agent_retired",
            f"{field}: agent {agent_id} is retired; name another",
            field=field,
            agent_id=agent_id,
        )
    return agent


def _candidates(
    state: TenantState, needs: Levels, missing: Levels, chosen: Mapping[str, Member]
) -> list[Candidate]:
    """A heap of the agents at work that meet any of the requirements, the best first; of all of
    them where nothing is required."""
    found: list[Candidate] = []
    able = state.index(AgentsByCapability).having_any(needs)
    for agent_id in able if needs else state.index(KnownAgents).ids():
        agent = state.get(Agent, agent_id)
        if agent is None or agent_id in chosen or agent.status not in ("idle", "busy"):
            continue
        levels = _useful(agent, needs)
        if levels or not needs:
            found.append((_rank(agent, levels, missing), agent, levels))
    heapq.heapify(found)
    return found


def _take_best(candidates: list[Candidate], missing: Levels) -> Candidate | None:
    """The best of the candidates, which is no longer one of them. The less is missing, the worse
    each of them ranks: so the first one whose rank is still true is the best."""
    while candidates:
        rank, agent, levels = candidates[0]
        now = _rank(agent, levels, missing)
        if now == rank:
            return heapq.heappop(candidates)
        heapq.heapreplace(candidates, (now, agent, levels))
    return None


def _rank(agent: Agent, levels: Levels, missing: Levels) -> Rank:
    """Smaller is better."""
    covered = [level for name, level in levels.items() if name in missing]
    return -len(covered), -sum(covered), agent.active, agent.id


def _useful(agent: Agent, needs: Levels) -> Levels:
    """The requirements that the agent meets, and how well."""
    return {
        skill.capability: skill.level
        for skill in agent.skills
        if skill.level >= needs.get(skill.capability, skill.level + 1)
    }


def _cover(missing: dict[str, int], levels: Levels) -> None:
    for name in levels:
        missing.pop(name, None)


def _incomplete(missing: Levels, min_size: int, size: int) -> Rejected:
    if missing:
        return Rejected(
            "uncovered",
            f"requires: nobody available has {_named(missing)} at that level; register such an"
            " agent, or require less",
            field="requires",
            uncovered=_first(missing),
        )
    return Rejected(
        "too_few_agents",
        f"min_size: {min_size} members are asked for, and only {size} can be found; name members,"
        " or capabilities that more agents have",
        field="min_size",
    )


def _first(missing: Levels) -> list[str]:
    """Few enough to be told."""
    return sorted(missing)[:100]


def _named(missing: Levels) -> str:
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return ", ".join(sorted(missing)[:5]) + more
