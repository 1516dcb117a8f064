"""Ways of working for teams: work that consists of other agents' tasks and messages.

Nothing in here calls a language model. All state is tasks and messages, so whoever coordinates may
be killed anywhere, and the next attempt goes on.
"""
