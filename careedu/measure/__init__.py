"""The measure floor: metrics, intervals, paired statistics and map quality, in numpy and scipy alone."""
