"""Workers: agents that claim tasks, do them and report, through the same tools as everybody."""
