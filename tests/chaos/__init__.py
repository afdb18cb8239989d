"""`make chaos`: many deals on real programs, a storm of faults at every transition, and a look at what is left.

schedule (seed) -> deals + strikes -> storm (world, proxy, faults) -> invariants, from the chains -> report
"""
