import hashlib
async def fingerprint(graph, entities):
    h=hashlib.sha256()
    for e in [*[x.LABEL for x in entities],"Tenant","Event"]:
        rows=await graph.query("MATCH (n:%s) RETURN properties(n) AS p ORDER BY n.id"%e,{},seconds=100)
        for r in rows: h.update(repr(sorted(r["p"].items())).encode())
    return h.hexdigest()
