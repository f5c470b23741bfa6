"""Looking at the data of a config before training: faults, oddities and figures."""
