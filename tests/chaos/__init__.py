"""`make chaos`: many deals and mandates on real programs, faults at every transition, and a look at what is left.

schedule (seed) -> deals + mandates + strikes -> storm (world, proxy, faults) -> invariants, from the chains -> report
"""
