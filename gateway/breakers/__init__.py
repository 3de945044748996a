"""When an upstream, a host of models or a whole region is given a rest: the machine, its evidence, its keepers."""
