"""Questions about templates that decisions ask."""

from agent_orchestration.core.state import StateIndex, TenantState
from agent_orchestration.domain.templates.model import Template


class TemplateVersions(StateIndex[Template]):
    """The newest version of each template."""

    ENTITY = Template

    def __init__(self, state: TenantState) -> None:
        super().__init__(state)
        self._newest: dict[str, int] = {}

    def key(self, entity: Template) -> tuple[str, int]:
        """Name and version; neither ever changes."""
        return entity.name, entity.version

    def put(self, key: tuple[str, int], entity: Template) -> None:
        """A version more."""
        name, version = key
        self._newest[name] = max(version, self._newest.get(name, 0))

    def drop(self, key: tuple[str, int], entity: Template) -> None:
        """Templates are for ever, so nothing is taken out."""
        raise AssertionError(f"template {entity.id} cannot change its name or version")

    def newest(self, name: str) -> int:
        """The newest version's number; 0 where there is no such template."""
        return self._newest.get(name, 0)
