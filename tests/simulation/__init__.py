"""The production pipeline under a seeded scheduler, with everything around it failing.

`loop` is the scheduler, `process` what a process is there, `faults` what goes wrong, `log` and
`graph` the doors to the outside, `world` a whole installation with its clients, `oracle` what
must hold in the end, `bugs` mistakes that must be found, `run` the program.
"""
