"""The front doors: an MCP server built from the tool registry, HTTP routes, the status page.

Importing this package does not import the MCP framework, which takes most of a second; its modules
`mcp`, `http` and `serve` do.
"""
