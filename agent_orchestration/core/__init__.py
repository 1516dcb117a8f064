"""The grammar of the platform: messages, envelopes, entities, state, modules, tools. No I/O."""
