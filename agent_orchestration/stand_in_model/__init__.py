"""A stand-in for a service of language models, for tests and dry runs.

It speaks OpenAI's chat protocol, answers and fails as a script says, and counts what it was asked.
No model is behind it, and every answer says so.
"""
