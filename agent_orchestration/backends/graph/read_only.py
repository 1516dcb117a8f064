class ReadOnlyRunner:
    def __init__(self, graph):
        self.graph = graph

    async def run(self, q, p, tenant):
        return await self.graph.query(q, p)
