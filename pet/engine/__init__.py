"""The loops that train and test, and how processes are started."""
