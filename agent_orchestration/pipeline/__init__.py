"""The one-way pipeline: commands are decided, events folded, what is due comes around again."""
