"""The course floor: the command line and the exercises."""
