import asyncio
import kglite
from agent_orchestration.backends.graph import *
from agent_orchestration.backends.graph import CheckpointMoved, GraphUnreadable, statements
from agent_orchestration.core.errors import Rejected
class KgliteGraph:
    def __init__(self, path, entities):
        self.path=path; self.entities=list(entities); self.lock=asyncio.Lock()
        kglite.set_query_warning_policy("ignore") if False else None
    async def start(self):
        try: self.g=kglite.open(str(self.path), durable="normal")
        except kglite.FileError as e: raise GraphUnreadable("x",str(e))
        for s in statements.schema(self.entities): self.g.cypher(s)
    async def stop(self):
        g=getattr(self,'g',None)
        if g is not None: g.close(); self.g=None
    async def position(self,p):
        r=list(self.g.cypher("MATCH (c:Checkpoint {id:$id}) RETURN c.epoch AS e, c.offset AS o",params={"id":f"events/{p}"}))
        return (r[0]["e"],r[0]["o"]) if r else None
    async def write(self,w):
        async with self.lock:
            with self.g.begin() as tx:
                r=list(tx.cypher("MATCH (c:Checkpoint {id:$id}) RETURN c.epoch AS e, c.offset AS o",params={"id":f"events/{w.partition}"}))
                if ((r[0]["e"],r[0]["o"]) if r else None)!=w.held: raise CheckpointMoved("moved","moved")
                for l,rows in w.nodes.items(): tx.cypher(statements.upsert_nodes(l),params={"rows":rows})
                for k,rows in w.unlinks.items():
                    if rows: tx.cypher(statements.remove_links(k),params={"rows":rows})
                for k,rows in w.links.items():
                    if rows: tx.cypher(statements.upsert_links(k),params={"rows":rows})
                tx.cypher("MERGE (c:Checkpoint {id:$id}) SET c.epoch=$e, c.offset=$o",params={"id":f"events/{w.partition}","e":w.next[0],"o":w.next[1]})
    async def query(self,statement,parameters,*,seconds=5.0,limit=None):
        try: return list(self.g.cypher(statement,params=dict(parameters),timeout_ms=int(seconds*1000),hide_structural_keys=True))
        except kglite.KgError as e: raise Rejected("cypher",str(e))
    async def clear(self):
        self.g.cypher("MATCH (n) DETACH DELETE n")
