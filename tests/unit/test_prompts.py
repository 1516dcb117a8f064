"""Prompts: they name tools and arguments that exist, and what they are about."""

import re

import pytest

from agent_orchestration.app import REGISTRY
from agent_orchestration.server import prompts

TEXTS = {name: text for name, text in vars(prompts).items() if name.isupper()}
ARGUMENTS = {name for tool in REGISTRY.tools.values() for name in tool.arguments.model_fields}
ANSWERED = {"unstaffed"}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_prompt_names_tools_and_arguments_that_exist(name: str) -> None:
    named = set(re.findall(r"`(\w+)`", TEXTS[name]))
    assert named - REGISTRY.tools.keys() - ARGUMENTS - ANSWERED == set()
    assert len(named & REGISTRY.tools.keys()) >= 3


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_a_prompt_says_what_it_is_about(name: str) -> None:
    [subject] = set(re.findall(r"\{(\w+)\}", TEXTS[name]))
    assert TEXTS[name].format(**{subject: "{braces} stay"}).count("{braces} stay") >= 1


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_arguments_in_prompts_are_those_of_some_tool(name: str) -> None:
    given = set(re.findall(r"(\w+)=", TEXTS[name]))
    assert given <= ARGUMENTS
